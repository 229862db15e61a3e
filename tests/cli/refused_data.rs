//! Invalid data sets: refused in one line, before anything is written.

use std::fs;

use tagseg::data::palette::write_index_png;
use tagseg::data::{Mask, Rgb8};

use crate::place::{Place, assert_refused, errors, tagseg, trained};

#[test]
fn a_missing_folder() {
    let place = Place::new();
    let mut train = tagseg(&["train", "--data", "/no/such/folder", "--out", &place.arg("run")]);
    place.assert_refuses(&mut train, &["/no/such/folder", "no such folder", "PASCAL VOC layout"]);
    fs::remove_dir_all(place.path("data/JPEGImages")).unwrap();
    place.assert_refuses(&mut place.train(&[]), &["data/JPEGImages", "no such folder"]);
    place.assert_refuses(&mut place.eval(trained(), &[]), &["data/JPEGImages", "no such folder"]);
}

#[test]
fn a_missing_split() {
    let place = Place::new();
    place.assert_refuses(&mut place.eval(trained(), &["--split", "tset"]), &["split `tset`", "train, val"]);
    fs::remove_file(place.path("data/ImageSets/Segmentation/train.txt")).unwrap();
    place.assert_refuses(&mut place.train(&[]), &["train.txt", "split `train`", "use one of: val"]);
}

#[test]
fn a_missing_image() {
    let place = Place::new();
    fs::remove_file(place.path("data/JPEGImages/train_0002.jpg")).unwrap();
    place.assert_refuses(&mut place.train(&[]), &["`train_0002`", "is missing", "add the image"]);
}

/// Protects: an image that does not decode is reported in training, scoring and prediction. Prediction skips it, and
/// the others do with `--skip-broken`.
#[test]
fn an_image_that_does_not_decode() {
    let place = Place::new();
    let whole = fs::read(place.path("data/JPEGImages/train_0001.jpg")).unwrap();
    place.write("JPEGImages/train_0001.jpg", &whole[..100]);
    place.write("JPEGImages/val_0000.jpg", "no picture at all");
    let parts = ["JPEGImages/train_0001.jpg", "does not decode", "--skip-broken"];
    place.assert_refuses(&mut place.train(&[]), &parts);
    place.assert_refuses(&mut place.eval(trained(), &[]), &["JPEGImages/val_0000.jpg", "does not decode"]);

    let image = |name: &str| place.arg(&format!("data/JPEGImages/{name}.jpg"));
    let (run, out) = (trained().to_str().unwrap(), place.arg("seen"));
    let mut predict = tagseg(&["predict", run, "--out", &out, &image("train_0000"), &image("train_0001")]);
    let output = predict.output().unwrap();
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("skipped ") && text.contains(parts[0]) && text.contains(parts[1]), "{text}");
    assert!(place.path("seen/train_0000.png").is_file() && !place.path("seen/train_0001.png").exists());

    let output = place.eval(trained(), &["--skip-broken", "--json"]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("skipped 1 of 2 images") && text.contains("val_0000.jpg"), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"images\":1"));

    let output = place.train(&["--skip-broken"]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("skipped 1 of 6 images") && text.contains("train_0001.jpg"), "{text}");
}

#[test]
fn a_tag_that_is_not_a_class() {
    let place = Place::new();
    place.edit("labels.json", "\"train_0000\": [\n      \"", "\"train_0000\": [\n      \"dics\", \"");
    place.assert_refuses(&mut place.train(&[]), &["labels.json", "`train_0000`", "`dics`", "not a class", "`disc`"]);
}

#[test]
fn an_image_without_an_entry_in_the_labels() {
    let place = Place::new();
    place.edit("labels.json", "\"train_0003\"", "\"train_3\"");
    place.assert_refuses(&mut place.train(&[]), &["labels.json", "`train_0003` has no tags", "empty list"]);
}

#[test]
fn a_file_of_labels_that_is_invalid() {
    let place = Place::new();
    place.write("labels.json", "{\n  \"classes\": \"disc\"\n}\n");
    place.assert_refuses(&mut place.train(&[]), &["labels.json", "is not a valid labels file", "expected {"]);
}

/// Protects: validation masks are checked before a run starts.
#[test]
fn mask_values_outside_the_classes() {
    let place = Place::new();
    place.spoil_mask("val_0001", 9);
    let parts = ["SegmentationClassAug/val_0001.png", "value 9", "4 classes", "255 for void"];
    place.assert_refuses(&mut place.train(&[]), &parts);
    place.assert_refuses(&mut place.eval(trained(), &[]), &parts);
    place.spoil_mask("val_0001", 255);
    assert!(place.eval(trained(), &[]).output().unwrap().status.success(), "void is allowed");
}

#[test]
fn a_mask_of_another_size_than_its_image() {
    let place = Place::new();
    let mask = place.path("data/SegmentationClassAug/val_0000.png");
    write_index_png(&mask, &Mask::new(30, 32, vec![0; 30 * 32])).unwrap();
    let parts = ["SegmentationClassAug/val_0000.png", "32x30", "32x32", "same size"];
    place.assert_refuses(&mut place.train(&[]), &parts);
    place.assert_refuses(&mut place.eval(trained(), &[]), &parts);
}

#[test]
fn a_mask_of_colours() {
    let place = Place::new();
    let mask = place.path("data/SegmentationClassAug/val_0000.png");
    Rgb8::new(32, 32, vec![128; 32 * 32 * 3]).write_png(&mask).unwrap();
    place.assert_refuses(&mut place.eval(trained(), &[]), &["val_0000.png", "not a mask of class indices"]);
}

/// Protects scores: a missing mask is named at the start, and the other images are scored; so it is if no image has one.
/// `eval` refuses a missing mask, and skips it on request.
#[test]
fn missing_masks_are_named() {
    let place = Place::new();
    let masks = place.path("data/SegmentationClassAug");
    fs::rename(masks.join("val_0001.png"), masks.join("val_0001.jpg")).unwrap();
    let output = place.train(&[]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    let notices: Vec<_> = text.lines().filter(|line| line.contains("no mask")).collect();
    assert_eq!(notices.len(), 1, "{text}");
    for part in ["1 of 2 images of `val`", "not scored", "`val_0001`", "val_0001.jpg is not a PNG file"] {
        assert!(notices[0].contains(part), "`{part}` is missing in: {}", notices[0]);
    }
    assert!(text.contains("mIoU segmentation") && place.path("run/checkpoints/best").is_file(), "{text}");

    place.assert_refuses(&mut place.eval(trained(), &[]), &["the mask of image `val_0001` is missing"]);
    let output = place.eval(trained(), &["--skip-broken", "--json"]).output().unwrap();
    assert!(errors(&output).contains("`val_0001`"), "{}", errors(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"images\":1"));

    fs::rename(masks.join("val_0001.jpg"), masks.join("val_0001.PNG")).unwrap();
    assert!(place.eval(trained(), &[]).output().unwrap().status.success(), "an ending in capitals is read");
    fs::remove_dir_all(masks).unwrap();
    let output = place.train_into("unscored", &[]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success() && text.contains("the run is not scored"), "{text}");
    assert!(text.contains("no image of split `val` has a mask"), "{text}");
}

/// Protects: masks without any class give no score, not a score of 0.
#[test]
fn masks_of_void_give_no_score() {
    let place = Place::new();
    for id in ["val_0000", "val_0001"] {
        let path = place.path("data/SegmentationClassAug").join(format!("{id}.png"));
        write_index_png(&path, &Mask::new(32, 32, vec![255; 32 * 32])).unwrap();
    }
    let output = place.eval(trained(), &["--json"]).output().unwrap();
    assert!(output.status.success() && errors(&output).contains("no pixel is scored"), "{}", errors(&output));
    let scores: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for map in ["seg", "cam", "y_c"] {
        for mean in ["miou", "pixel_accuracy", "mean_accuracy"] {
            assert!(scores[map][mean].is_null() && !scores[map].is_null(), "{map}.{mean}: {scores}");
        }
    }
    let output = place.eval(trained(), &[]).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let mean = table.lines().find(|line| line.starts_with("mean ")).unwrap();
    assert!(mean.contains('–') && !mean.contains("0.0"), "{table}");
    let output = place.train(&[]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success() && text.contains("no pixel is scored"), "{text}");
    assert!(fs::read_to_string(place.path("run/metrics.jsonl")).unwrap().contains("\"seg_miou\":null"));
}

/// Protects `predict` on a disk without space: an error, and every file is whole or absent.
#[cfg(unix)]
#[test]
fn a_result_that_cannot_be_written() {
    let place = Place::new();
    Rgb8::from_fn(96, 96, |y, x| [(y * 37 + x * 91) as u8, (y * x * 7) as u8, ((x * 53) ^ (y * 29)) as u8])
        .write_png(&place.path("noise.png"))
        .unwrap();
    let out = place.path("seen");
    // Blocks of 512 or 1024 bytes: less than an overlay, more than a mask. SIGXFSZ is ignored to get an error instead.
    let limited = r#"trap '' XFSZ; ulimit -f 8; exec "$@""#;
    let predict =
        tagseg(&["predict", trained().to_str().unwrap(), &place.arg("noise.png"), "--out", out.to_str().unwrap()]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, "sh"]).arg(predict.get_program()).args(predict.get_args());
    assert_refused(&command.output().unwrap(), &["noise_overlay.png", "too large", "disk"]);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing is left");
}

#[test]
fn scoring_without_masks() {
    let place = Place::new();
    fs::remove_dir_all(place.path("data/SegmentationClassAug")).unwrap();
    place.assert_refuses(&mut place.eval(trained(), &[]), &["the mask of image `val_0000` is missing", "add"]);
}

#[test]
fn fewer_images_than_a_batch() {
    let place = Place::new();
    place.assert_refuses(&mut place.train(&["--batch", "8"]), &["6 images", "8", "smaller batch"]);
}

/// Protects: a network is not scored on classes that differ from its own in number, name or order.
#[test]
fn data_with_other_classes_than_the_network() {
    let place = Place::new();
    place.edit("labels.json", "\"disc\",\n    \"square\"", "\"disc\",\n    \"quad\",\n    \"square\"");
    place.assert_refuses(&mut place.eval(trained(), &[]), &["labels.json", "5 classes", "4", "trained with"]);
    let place = Place::new();
    place.edit("labels.json", "\"disc\",\n    \"square\"", "\"square\",\n    \"disc\"");
    place.assert_refuses(&mut place.eval(trained(), &[]), &["class 1", "`square`", "`disc`", "trained on"]);
}

/// Protects: `shapes` and `demo` do not write into a folder that is not empty.
#[test]
fn an_output_folder_that_is_not_empty() {
    let place = Place::new();
    place.assert_refuses(&mut tagseg(&["shapes", "--out", &place.data()]), &["already exists", "--overwrite"]);
    place.assert_refuses(&mut tagseg(&["demo", "--out", &place.data()]), &["already exists", "--overwrite"]);
    let output = tagseg(&["shapes", "--out", &place.arg("data/labels.json"), "--overwrite"]).output().unwrap();
    assert_refused(&output, &["data/labels.json", "is a file"]);
}
