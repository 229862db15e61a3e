//! MS-COCO as distributed, against its own decoder (`tests/fixtures/data/make_fixtures.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tagseg::data::palette::read_index_png;
use tagseg::data::tags::numbered_classes;
use tagseg::data::{Dataset, DatasetOptions, Rgb8};
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

/// A data set of one annotation file per split; image files are named by `images`.
fn small(annotations: &str, images: &[&str]) -> Folder {
    let folder = Folder::empty();
    folder.write("annotations/instances_train.json", annotations);
    for name in images {
        Rgb8::new(4, 6, vec![7; 72]).write_png(&folder.at(name)).unwrap();
    }
    folder
}

/// An annotation file of images (id, file name), objects (image id, category id) and categories (id, name, group).
fn annotations(images: &[(u64, &str)], objects: &[(u64, u64)], categories: &[(u64, &str, &str)]) -> String {
    let images = images.iter().map(|(id, name)| json!({"id": id, "file_name": name, "height": 4, "width": 6}));
    let objects = objects.iter().zip(1..).map(|((image, category), id)| {
        let outline = [[0, 0, 3, 0, 3, 3, 0, 3]];
        json!({"id": id, "image_id": image, "category_id": category, "area": 9, "segmentation": outline})
    });
    let categories = categories.iter().map(|(id, name, group)| json!({"id": id, "name": name, "supercategory": group}));
    let [images, objects, categories]: [Vec<_>; 3] = [images.collect(), objects.collect(), categories.collect()];
    json!({"images": images, "annotations": objects, "categories": categories}).to_string()
}

const PETS: [(u64, &str, &str); 2] = [(1, "cat", "pet"), (2, "dog", "pet")];

/// Protects scores: a validation file may number the categories in another way, and have fewer or more of them.
#[test]
fn expected_categories_are_found_by_name() {
    let expected =
        DatasetOptions { classes: Some(["cat", "dog"].map(String::from).to_vec()), ..DatasetOptions::default() };
    let open = |categories: &[(u64, &str, &str)]| {
        let folder = small(&annotations(&[(1, "a.png")], &[(1, 2)], categories), &["train/a.png"]);
        Dataset::open(folder.path(), "train", &expected).map(|set| (set.tags(0).to_vec(), set.mask(0).unwrap().data[0]))
    };
    assert_eq!(open(&PETS).unwrap(), (vec![0.0, 1.0], 2));
    assert_eq!(open(&[(1, "dog", ""), (2, "cat", "")]).unwrap(), (vec![1.0, 0.0], 1), "numbered in another way");
    assert_eq!(open(&[(2, "dog", "")]).unwrap(), (vec![0.0, 1.0], 2), "a part of the categories");
    assert_eq!(open(&[(1, "cow", ""), (2, "dog", ""), (3, "cat", "")]).unwrap(), (vec![0.0, 1.0], 2), "an unused one");
    assert_names(&message(open(&[(1, "cat", ""), (2, "cow", "")])), &["`cow`", "not one of the 2 classes"]);
}

/// Protects: a group of categories, which some programs list beside them, is not a class; a class without objects is.
#[test]
fn groups_of_categories_are_not_classes() {
    for root in [(0, "pet", "none"), (0, "cat", "none"), (0, "background", "none")] {
        let group = root.1;
        let categories = [root, (1, "cat", group), (2, "dog", group), (3, "cow", group)];
        let folder = small(&annotations(&[(1, "a.png")], &[(1, 2)], &categories), &["train/a.png"]);
        let dataset = open(folder.path(), "train").unwrap();
        assert_eq!(
            (dataset.classes(), dataset.tags(0)),
            (&["cat", "dog", "cow"].map(String::from)[..], &[0., 1., 0.][..])
        );
        assert_names(&dataset.notices.join(" "), &[&format!("category `{group}` has no objects")]);
    }
}

/// Protects names with folders, written on any system.
#[test]
fn file_names_may_have_folders() {
    for (name, file) in [
        ("a.png", "train/a.png"),
        ("train/a.png", "train/a.png"),
        ("train\\a.png", "images/train/a.png"),
        ("./images/sub/a.png", "images/sub/a.png"),
        ("/home/someone/data/train/a.png", "train/a.png"),
        ("sub/a.png", "sub/a.png"),
        ("sub/a.png", "train/a.png"),
    ] {
        let folder = small(&annotations(&[(1, name)], &[(1, 1)], &PETS), &[file]);
        let dataset = open(folder.path(), "train").unwrap();
        assert_eq!(dataset.image(0).unwrap().height, 4, "{name} in {file}");
        assert!(dataset.ids()[0].ends_with('a') && !dataset.ids()[0].contains('\\'), "{:?}", dataset.ids());
    }
}

/// Protects tags from being mixed: ids and files that occur twice are named.
#[test]
fn repeated_ids_and_files_are_refused() {
    let both = ["train/a.png", "train/b.png"];
    for (images, categories, parts) in [
        ([(1, "a.png"), (1, "b.png")], PETS, ["two images of id 1", "`b.png`"]),
        ([(1, "a.png"), (2, "a.png")], PETS, ["`a.png`", "images 1 and 2"]),
        ([(1, "a.png"), (2, "train/a.png")], PETS, ["`train/a.png`", "images 1 and 2"]),
        ([(1, "a.png"), (2, "b.png")], [(1, "cat", ""), (1, "dog", "")], ["two categories of id 1", "`dog`"]),
    ] {
        let folder = small(
            &annotations(
                &images,
                &[(1, 1), (2, 1)].map(|(image, category)| (if images[1].0 == 1 { 1 } else { image }, category)),
                &categories,
            ),
            &both,
        );
        assert_names(&message(open(folder.path(), "train")), &["instances_train.json", parts[0], parts[1]]);
    }
}

/// Protects training on boxes: an object without an outline is a tag, and its image has no mask; the object is named.
#[test]
fn objects_without_outlines_are_tags() {
    let whole = annotations(&[(1, "a.png"), (2, "b.png")], &[(1, 1), (2, 2)], &PETS);
    let outline = "\"segmentation\":[[0,0,3,0,3,3,0,3]]";
    for other in [
        "\"segmentation\":[]",
        "\"segmentation\":[[]]",
        "\"segmentation\":[[1,1,2,2]]",
        "\"segmentation\":null",
        "\"bbox\":[1,1,2,2]",
    ] {
        let at = whole.rfind(outline).unwrap();
        let text = [&whole[..at], other, &whole[at + outline.len()..]].concat();
        let folder = small(&text, &["train/a.png", "train/b.png"]);
        let mut dataset = open(folder.path(), "train").unwrap();
        assert_eq!([dataset.tags(0), dataset.tags(1)], [[1.0, 0.0], [0.0, 1.0]], "{other}");
        assert!(!dataset.has_masks() && dataset.mask(0).is_ok());
        assert_names(&message(dataset.mask(1)), &["annotation 2", "`b.png`", "no outline"]);
        dataset.keep_masked().unwrap();
        assert_eq!(dataset.ids(), ["a"]);
        assert_names(
            &dataset.notices.join("\n"),
            &["1 of 2 images", "not scored", "`b` (annotation 2 has no outline)"],
        );
    }
    // The reference decoder ignores polygons without area beside others.
    let text = whole.replacen(outline, "\"segmentation\":[[],[0,0,3,0,3,3,0,3]]", 1);
    let folder = small(&text, &["train/a.png", "train/b.png"]);
    assert_eq!(open(folder.path(), "train").unwrap().mask(0).unwrap().data[0], 1);
    let text = whole.replacen(outline, "\"segmentation\":{\"size\":[4,6],\"counts\":[1]}", 1);
    let folder = small(&text, &["train/a.png", "train/b.png"]);
    assert_names(&message(open(folder.path(), "train").unwrap().check_masks()), &["annotation 1", "do not add up"]);
}

/// Protects annotation files that begin with a byte order mark, also the outlines, which are read again.
#[test]
fn a_byte_order_mark_is_stripped() {
    let text = annotations(&[(1, "a.png")], &[(1, 2)], &PETS);
    let folder = small(&format!("\u{feff}{text}"), &["train/a.png"]);
    let dataset = open(folder.path(), "train").unwrap();
    assert_eq!((dataset.tags(0), dataset.mask(0).unwrap().data[0]), (&[0.0, 1.0][..], 2));
    let folder = small("", &[]);
    folder.write("annotations/instances_train.json", b"\xFE\xFF\0{");
    assert_names(&message(open(folder.path(), "train")), &["instances_train.json", "UTF-16"]);
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
    let expected = DatasetOptions { classes: Some(numbered_classes(3)), ..DatasetOptions::default() };
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
