//! Reading the PASCAL VOC layout, and everything that can be wrong with it.

use std::path::Path;

use tagseg::data::tags::numbered_classes;
use tagseg::data::{Dataset, DatasetOptions, Mask, Rgb8};

use crate::folder::{Folder, assert_names, message};

/// Protects the plain case: order, names, tags, pixels, masks.
#[test]
fn a_valid_data_set_is_read() {
    let folder = Folder::new();
    let dataset = folder.open().unwrap();
    assert_eq!((dataset.len(), dataset.ids()), (3, &["a", "b", "c"].map(String::from)[..]));
    assert_eq!(dataset.classes(), ["cat", "dog"]);
    assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]);
    assert_eq!(dataset.max_tags(), 2);
    let image = dataset.image(0).unwrap();
    assert_eq!((image.height, image.width, image.data[5]), (4, 6, b'a'.wrapping_mul(7) + 5));
    assert!(dataset.has_masks());
    assert_eq!(dataset.mask(0).unwrap().data[..3], [1, 255, 0]);
    assert_eq!(dataset.notices.len(), 1, "one image has no tag: {:?}", dataset.notices);
}

/// Protects lists written on other systems or by hand.
#[test]
fn split_lists_may_have_spaces_and_windows_line_ends() {
    let folder = Folder::new();
    folder.write("ImageSets/Segmentation/train.txt", "\u{feff}\r\n  b \r\n\r\na\t\r\nb\r\n");
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.ids(), ["b", "a"]);
    assert_eq!(dataset.tags(0), [1.0, 1.0]);
    assert_names(&dataset.notices.join(" "), &["train.txt", "repeats 1"]);
}

/// Protects lists of names and paths of files, and endings in other cases.
#[test]
fn split_lists_may_hold_paths() {
    let folder = Folder::new();
    for lines in ["a.png\nb.png\nc.PNG\n", "/JPEGImages/a.png /SegmentationClassAug/a.png\n./b\nJPEGImages\\c.png\n"] {
        folder.write("ImageSets/Segmentation/train.txt", lines);
        let dataset = folder.open().unwrap();
        assert_eq!(dataset.ids(), ["a", "b", "c"]);
        assert_eq!(dataset.tags(1), [1.0, 1.0]);
        assert_names(&dataset.notices.join(" "), &["train.txt", "3 lines"]);
    }
    folder.write("ImageSets/Segmentation/train.txt", "a\nb\nb.png\n");
    std::fs::rename(folder.at("JPEGImages/a.png"), folder.at("JPEGImages/a.Png")).unwrap();
    std::fs::rename(folder.at("SegmentationClassAug/a.png"), folder.at("SegmentationClassAug/a.PNG")).unwrap();
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.ids(), ["a", "b"]);
    assert!(dataset.has_masks());
}

/// Protects texts that begin with a byte order mark.
#[test]
fn labels_may_begin_with_a_byte_order_mark() {
    let folder = Folder::new();
    let labels = std::fs::read_to_string(folder.at("labels.json")).unwrap();
    folder.write("labels.json", format!("\u{feff}{labels}"));
    assert_eq!(folder.open().unwrap().tags(0), [1.0, 0.0]);
    folder.write("labels.json", b"\xFF\xFE{\0}\0");
    assert_names(&folder.refusal(), &["labels.json", "UTF-16", "UTF-8"]);
}

/// Protects the promise that training needs no masks.
#[test]
fn masks_are_optional_if_there_are_tags() {
    let folder = Folder::new();
    folder.remove("SegmentationClassAug");
    let dataset = folder.open().unwrap();
    assert!(!dataset.has_masks());
    assert_names(&message(dataset.mask(0)), &["SegmentationClassAug", "`a`", "a.png"]);
}

/// Protects tags from masks: without labels.json, and with class names only.
#[test]
fn tags_are_derived_from_masks_if_there_are_none() {
    let folder = Folder::new();
    folder.remove("labels.json");
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.classes(), ["class 1", "class 2"]);
    assert_eq!([dataset.tags(0), dataset.tags(1)], [[1.0, 0.0], [1.0, 1.0]]);
    assert_names(&dataset.notices.join(" "), &["derived from the masks"]);

    let options = DatasetOptions { classes: Some(numbered_classes(5)), ..DatasetOptions::default() };
    let dataset = Dataset::open(folder.path(), "train", &options).unwrap();
    assert_eq!(dataset.tags(1), [1.0, 1.0, 0.0, 0.0, 0.0], "the expected number of classes is used");

    folder.write("labels.json", r#"{"classes": ["x", "y", "z"]}"#);
    let dataset = folder.open().unwrap();
    assert_eq!((dataset.classes()[2].as_str(), dataset.tags(1)), ("z", &[1.0, 1.0, 0.0][..]));

    folder.remove("SegmentationClassAug/b.png");
    assert_names(&folder.refusal(), &["SegmentationClassAug", "`b`", "labels.json"]);
}

/// Protects the second mask folder, the one of the original VOC.
#[test]
fn masks_may_be_in_segmentation_class() {
    let folder = Folder::new();
    let mask = folder.open().unwrap().mask(1).unwrap();
    let at = folder.at("SegmentationClass/b.png");
    std::fs::rename(folder.at("SegmentationClassAug/b.png"), at).unwrap();
    assert_eq!(folder.open().unwrap().mask(1).unwrap(), mask);
}

#[test]
fn a_missing_folder_is_named() {
    let refusal = message(Dataset::open(Path::new("no/such/place"), "train", &DatasetOptions::default()));
    assert_names(&refusal, &["no/such/place", "no such folder", "PASCAL VOC"]);
    let folder = Folder::new();
    folder.remove("JPEGImages");
    assert_names(&folder.refusal(), &["JPEGImages", "no such folder"]);
}

#[test]
fn the_error_of_a_missing_split_lists_all_splits() {
    let folder = Folder::new();
    folder.write("ImageSets/Segmentation/val.txt", "a\n");
    let refusal = message(Dataset::open(folder.path(), "trian", &DatasetOptions::default()));
    assert_names(&refusal, &["trian.txt", "no split `trian`", "train, val"]);
}

#[test]
fn an_empty_split_is_refused() {
    let folder = Folder::new();
    folder.write("ImageSets/Segmentation/train.txt", "\n \n");
    assert_names(&folder.refusal(), &["train.txt", "lists no image", "one image id per line"]);
}

#[test]
fn a_missing_image_is_named() {
    let folder = Folder::new();
    folder.remove("JPEGImages/b.png");
    assert_names(&folder.refusal(), &["JPEGImages", "`b`", "`train`", "train.txt"]);
}

#[test]
fn an_unknown_tag_is_named_with_the_most_similar_class() {
    let folder = Folder::new();
    folder.write("labels.json", r#"{"classes": ["cat", "dog"], "tags": {"a": ["Dgo"], "b": [], "c": []}}"#);
    assert_names(&folder.refusal(), &["labels.json", "`a`", "`Dgo`", "most similar class is `dog`"]);
}

#[test]
fn an_image_without_tags_is_named() {
    let folder = Folder::new();
    folder.write("labels.json", r#"{"classes": ["cat", "dog"], "tags": {"a": ["cat"], "c": []}}"#);
    assert_names(&folder.refusal(), &["labels.json", "`b`", "has no tags", "empty list"]);
}

#[test]
fn unusable_class_lists_are_refused() {
    let folder = Folder::new();
    for (content, parts) in [
        (r#"{"classes": ["cat",}"#, ["not a valid labels file", "line 1"]),
        (r#"{"classes": []}"#, ["0 classes", "1 to 254"]),
        (r#"{"classes": ["background", "cat"]}"#, ["`background`", "mask value 0"]),
        (r#"{"classes": ["cat", "cat"]}"#, ["`cat` twice", "own name"]),
        (r#"{"classes": ["cat", " "]}"#, ["the class \" \"", "spaces around it"]),
        (r#"{"classes": ["cat", "d\nog"]}"#, ["the class \"d\\nog\"", "line breaks"]),
        (r#"{"classes": ["cat"], "tag": {}}"#, ["not a valid labels file", "`tag`"]),
        (r#"{"classes": ["cat"], "tags": {"a": [], "b": [], "a": ["cat"]}}"#, ["`a` occurs twice", "line 1"]),
    ] {
        folder.write("labels.json", content);
        assert_names(&folder.refusal(), &parts);
    }
    folder.write("labels.json", r#"{"classes": ["cat", "dog"]}"#);
    let refusal = message(Dataset::open(
        folder.path(),
        "train",
        &DatasetOptions { classes: Some(numbered_classes(3)), ..DatasetOptions::default() },
    ));
    assert_names(&refusal, &["labels.json", "2 classes", "3 are expected"]);
}

#[test]
fn a_mask_value_that_is_not_a_class_is_named() {
    let folder = Folder::new();
    folder.mask("b", 4, 6, [1, 7]);
    let refusal = message(folder.open().unwrap().mask(1));
    assert_names(&refusal, &["SegmentationClassAug/b.png", "value 7", "2 classes", "255 for void"]);
}

#[test]
fn a_mask_of_another_size_names_both_sizes() {
    let folder = Folder::new();
    folder.mask("b", 6, 4, [1, 1]);
    let refusal = message(folder.open().unwrap().mask(1));
    assert_names(&refusal, &["SegmentationClassAug/b.png", "4x6", "6x4", "same size"]);
}

#[test]
fn a_mask_of_colours_is_refused() {
    let folder = Folder::new();
    let colours = Rgb8::new(4, 6, vec![128; 72]);
    colours.write_png(&folder.at("SegmentationClassAug/b.png")).unwrap();
    let refusal = message(folder.open().unwrap().mask(1));
    assert_names(&refusal, &["SegmentationClassAug/b.png", "8-bit Rgb", "class index", "palette PNG"]);
}

#[test]
fn a_mask_that_does_not_decode_is_named() {
    let folder = Folder::new();
    folder.write("SegmentationClassAug/b.png", "no PNG");
    assert_names(&message(folder.open().unwrap().mask(1)), &["b.png", "does not decode", "replace the mask"]);
}

/// Protects training from images that would fail during the run, whether truncated or not an image at all.
#[test]
fn broken_images_are_found_before_training() {
    let folder = Folder::new();
    let sound = std::fs::read(folder.at("JPEGImages/b.png")).unwrap();
    folder.write("JPEGImages/b.png", &sound[..sound.len() / 2]);
    let mut dataset = folder.open().unwrap();
    assert_names(&message(dataset.check_images(false)), &["JPEGImages/b.png", "does not decode", "`--skip-broken`"]);

    assert_eq!(dataset.check_images(true).unwrap(), 1);
    assert_eq!(dataset.ids(), ["a", "c"]);
    assert_eq!([dataset.tags(0), dataset.tags(1)], [[1.0, 0.0], [0.0, 0.0]], "tags stay with their images");
    assert!(dataset.image(1).is_ok());
    assert_names(dataset.notices.last().unwrap(), &["skipped", "b.png"]);
    assert_eq!(dataset.check_images(false).unwrap(), 0);

    for id in ["a", "c"] {
        folder.write(&format!("JPEGImages/{id}.png"), "no image");
    }
    assert_names(&message(dataset.check_images(true)), &["JPEGImages", "none of the 2 images"]);
}

/// Protects grey images, which become three equal channels.
#[test]
fn grey_images_are_replicated() {
    let folder = Folder::new();
    image::GrayImage::from_fn(6, 4, |x, y| image::Luma([(10 * y + x) as u8]))
        .save(folder.at("JPEGImages/a.png"))
        .unwrap();
    let image = folder.open().unwrap().image(0).unwrap();
    assert_eq!(image.data[..9], [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

/// Protects images whose id contains a folder, as MS-COCO's may.
#[test]
fn ids_may_name_folders() {
    let folder = Folder::new();
    folder.write("ImageSets/Segmentation/train.txt", "sub/a\n");
    folder.write("labels.json", r#"{"classes": ["cat"], "tags": {"sub/a": ["cat"]}}"#);
    folder.image("sub/a", 3, 3);
    folder.mask("sub/a", 3, 3, [1, 0]);
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.mask(0).unwrap(), Mask::new(3, 3, vec![1, 0, 0, 0, 0, 0, 0, 0, 0]));
}
