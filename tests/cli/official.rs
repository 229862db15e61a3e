//! Training and scoring on data sets in their official layouts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::{Place, errors, succeed};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

/// Trains two steps, which must print all of `parts`, and scores.
fn train_and_score(place: &Place, images: usize, parts: &[&str]) {
    let output = place.train(&[]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    let run = place.arg("run");
    let scores: Value = serde_json::from_str(&succeed(&["eval", &run, "--data", &place.data(), "--json"])).unwrap();
    assert_eq!(scores["images"], images);
}

/// Protects: PASCAL VOC 2012 with its official lists and labels: trains on the augmented list, with 20 named classes.
#[test]
fn pascal_voc_in_its_official_form() {
    let place = Place::new();
    let lists = [("train", "train_aug", 6), ("val", "val", 2)];
    for (split, list, count) in lists {
        let official = fs::read_to_string(fixture(&format!("voc2012/{list}.txt"))).unwrap();
        let ids: Vec<&str> = official.lines().take(count).collect();
        for (index, id) in ids.iter().enumerate() {
            for (folder, ending) in [("JPEGImages", "jpg"), ("SegmentationClassAug", "png")] {
                let at = |name: &str| place.path(&format!("data/{folder}/{name}.{ending}"));
                fs::rename(at(&format!("{split}_{index:04}")), at(id)).unwrap();
            }
        }
        place.write(&format!("ImageSets/Segmentation/{list}.txt"), ids.join("\n"));
    }
    fs::remove_file(place.path("data/labels.json")).unwrap();
    place.write("cls_labels_onehot.npy", fs::read(fixture("voc2012/cls_labels_onehot.npy")).unwrap());
    train_and_score(&place, 2, &["tags are read from cls_labels_onehot.npy", "6 images, 20 classes"]);
}

/// Protects: MS-COCO with its own annotations: omits images without objects; 4 of its categories are classes.
#[test]
fn coco_in_its_official_form() {
    let place = Place::new();
    fs::remove_dir_all(place.path("data")).unwrap();
    for part in ["annotations", "train2014", "val2014"] {
        fs::create_dir_all(place.path("data").join(part)).unwrap();
        for entry in fs::read_dir(fixture("coco").join(part)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, place.path("data").join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
    train_and_score(&place, 2, &["skipped 1 of 5 images without objects", "4 images, 4 classes"]);
}
