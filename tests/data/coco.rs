//! MS-COCO as distributed, against its own decoder (`tests/fixtures/data/make_fixtures.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use tagseg::data::palette::read_index_png;
use tagseg::data::tags::numbered_classes;
use tagseg::data::{Dataset, DatasetOptions};
use tagseg::formats::coco_outline::Shape;

use crate::folder::{Folder, assert_names, message};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

fn open(root: &Path, split: &str) -> tagseg::Result<Dataset> {
    Dataset::open(root, split, &DatasetOptions::default())
}

/// A copy of the small MS-COCO, to be changed.
fn copy() -> Folder {
    let folder = Folder::empty();
    for part in ["annotations", "train2014", "val2014"] {
        for entry in fs::read_dir(fixture("coco").join(part)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.at(&format!("{part}/{}", path.file_name().unwrap().to_str().unwrap()))).unwrap();
        }
    }
    folder
}

const TRAIN: &str = "annotations/instances_train2014.json";

fn edit(folder: &Folder, from: &str, to: &str) {
    let text = fs::read_to_string(folder.at(TRAIN)).unwrap();
    assert!(text.contains(from), "{from}");
    folder.write(TRAIN, text.replacen(from, to, 1));
}

#[derive(Deserialize)]
struct Case<'a> {
    size: [usize; 2],
    #[serde(borrow)]
    segmentation: &'a RawValue,
    spans: Vec<[usize; 2]>,
}

/// Protects the decoder: for 300 outlines in all forms, every pixel matches the reference.
#[test]
fn outlines_match_the_reference_decoder() {
    let text = fs::read_to_string(fixture("outlines.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 300);
    let fill = |spans: &[[usize; 2]], length| {
        let mut filled = vec![false; length];
        spans.iter().for_each(|[start, end]| filled[*start..*end].fill(true));
        filled
    };
    for (index, Case { size: [height, width], segmentation, spans }) in cases.iter().enumerate() {
        let shape: Shape = serde_json::from_str(segmentation.get()).unwrap();
        let actual = shape.spans(*height, *width).unwrap();
        let length = height * width;
        assert!(fill(&actual, length) == fill(spans, length), "outline {index} of {width}x{height}: {segmentation}");
    }
}

/// Protects reading of the distributed files: classes by category id, tags by object, smaller objects over
/// larger ones, images without objects skipped, grey images.
#[test]
fn the_distributed_form_is_read() {
    for (split, count) in [("train", 4), ("val", 2)] {
        let dataset = open(&fixture("coco"), split).unwrap();
        assert_eq!(dataset.len(), count);
        assert_eq!(dataset.classes(), ["person", "car", "dog", "toothbrush"], "categories 1, 3, 18 and 90");
        assert_names(&dataset.notices.join(" "), &[&format!("1 of {} images", count + 1), "without objects"]);
        assert!(dataset.has_masks());
        let mut shown = 0;
        for (index, id) in dataset.ids().iter().enumerate() {
            let expected = read_index_png(&fixture(&format!("coco/expected/{id}.png"))).unwrap();
            assert!(dataset.mask(index).unwrap() == expected, "{id}");
            let histogram = expected.histogram();
            for class in (1..=4).filter(|class| histogram[*class] > 0) {
                assert_eq!(dataset.tags(index)[class - 1], 1.0, "{id} is tagged with the classes in its mask");
                shown += 1;
            }
            let image = dataset.image(index).unwrap();
            assert_eq!((image.height, image.width), (expected.height, expected.width));
        }
        assert!(shown > count, "some images show several classes");
    }
}

/// Protects the names of splits: with a year, without one, and with two years.
#[test]
fn splits_are_found_with_and_without_their_year() {
    let folder = copy();
    assert_eq!(open(folder.path(), "train2014").unwrap().split(), "train2014");
    assert!(Dataset::has_split(folder.path(), "val") && !Dataset::has_split(folder.path(), "test"));
    assert_names(&message(open(folder.path(), "test")), &["annotations", "no split `test`", "train2014, val2014"]);
    folder.write("annotations/instances_train2017.json", "{}");
    assert_names(&message(open(folder.path(), "train")), &["split `train` is ambiguous", "train2014, train2017"]);
}

/// Protects images in other folders where users unpack them.
#[test]
fn images_may_be_in_a_folder_images() {
    let folder = copy();
    fs::create_dir(folder.at("images")).unwrap();
    fs::rename(folder.at("train2014"), folder.at("images/train2014")).unwrap();
    assert_eq!(open(folder.path(), "train").unwrap().len(), 4);
    folder.remove("images");
    let refusal = message(open(folder.path(), "train"));
    assert_names(&refusal, &["train2014", "`COCO_train2014_000000000001.jpg`", "is missing", "unpack"]);
}

/// Protects: an image that does not decode is dropped with its mask.
#[test]
fn masks_stay_with_their_images() {
    let folder = copy();
    folder.write("train2014/COCO_train2014_000000000001.jpg", "no picture");
    let mut dataset = open(folder.path(), "train").unwrap();
    assert_eq!(dataset.check_images(true).unwrap(), 1);
    dataset.check_masks().unwrap();
    let expected = read_index_png(&fixture("coco/expected/COCO_train2014_000000000002.png")).unwrap();
    assert!(dataset.mask(0).unwrap() == expected);
}

#[test]
fn inconsistent_files_are_refused() {
    let refusals = [
        ("\"images\"", "\"pictures\"", "missing field `images`"),
        ("\"image_id\": 1,", "\"image_id\": 77,", "in image 77"),
        ("\"id\": 90,", "\"id\": 91,", "category 90"),
        ("\"name\": \"dog\"", "\"name\": \"car\"", "class `car` twice"),
    ];
    for (from, to, part) in refusals {
        let folder = copy();
        edit(&folder, from, to);
        assert_names(&message(open(folder.path(), "train")), &["instances_train2014.json", part]);
    }
    let expected = DatasetOptions { classes: Some(numbered_classes(3)) };
    let refusal = message(Dataset::open(&fixture("coco"), "train", &expected));
    assert_names(&refusal, &["4 categories", "3 are expected"]);
    let folder = copy();
    edit(&folder, "\"height\": 40", "\"height\": 41");
    let dataset = open(folder.path(), "train").unwrap();
    assert_names(&message(dataset.check_masks()), &["instances_train2014.json", "56x40", "56x41"]);
}

/// Protects: malicious and meaningless outlines are refused, and cost neither time nor memory.
#[test]
fn bad_outlines_are_refused() {
    for (outline, part) in [
        ("[]", "no polygon"),
        ("[[1, 2, 3, 4]]", "no polygon"),
        ("[[0, 0, 1e300, 0, 5, 5]]", "far beyond"),
        (r#"{"size": [4, 4], "counts": [5, 12]}"#, "do not add up"),
        (r#"{"size": [4, 4], "counts": [5, 18446744073709551615]}"#, "do not add up"),
        (r#"{"size": [4, 5], "counts": [20]}"#, "5x4"),
        (r#"{"size": [4, 4], "counts": "oooooooooooooooooooo"}"#, "damaged"),
        (r#"{"size": [4, 4], "counts": "o"}"#, "damaged"),
        (r#"{"size": [4, 4], "counts": "@"}"#, "damaged"),
        (r#"{"size": [4, 4], "counts": "\u0000"}"#, "damaged"),
    ] {
        let shape: Shape = serde_json::from_str(outline).unwrap();
        let reason = shape.spans(4, 4).unwrap_err();
        assert!(reason.contains(part), "{outline}: {reason}");
    }
    assert!(serde_json::from_str::<Shape>("{}").is_err());
}
