//! `tagseg check`: all findings at once, in agreement with training.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tagseg::data::Rgb8;

use crate::place::{Place, errors, tagseg};

fn check(data: &str, more: &[&str]) -> Output {
    tagseg(&[&["check", data, "--preset", "nano", "--batch", "2"], more].concat()).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", errors(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn assert_lists(text: &str, kind: &str, parts: &[&str]) {
    let found = text.lines().any(|line| line.starts_with(kind) && parts.iter().all(|part| line.contains(part)));
    assert!(found, "no {kind} names {parts:?} in\n{text}");
}

/// Protects: a valid data set passes, with statistics of its splits and classes.
#[test]
fn a_valid_data_set_is_counted() {
    let place = Place::new();
    let output = check(&place.data(), &[]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("0 errors, 0 warnings: training can start\n"), "{text}");
    for word in ["train", "val", "background", "disc", "square", "triangle", "ring"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let json: Value = serde_json::from_str(&printed(&check(&place.data(), &["--json"]))).unwrap();
    assert_eq!(
        (&json["sound"], &json["splits"][0]["images"], &json["splits"][1]["masks"]),
        (&true.into(), &6.into(), &2.into())
    );
    let labels = fs::read_to_string(place.path("data/labels.json")).unwrap();
    let labels: Value = serde_json::from_str(&labels).unwrap();
    let tagged =
        |(id, names): (&String, &Value)| id.starts_with("train") && names.as_array().unwrap().contains(&"disc".into());
    let discs = labels["tags"].as_object().unwrap().iter().filter(|entry| tagged(*entry)).count();
    assert_eq!((&json["classes"][1]["class"], &json["classes"][1]["images"][0]), (&"disc".into(), &discs.into()));
    let shares = json["classes"].as_array().unwrap().iter().map(|class| class["pixels"][1].as_f64().unwrap());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9);
}

/// Protects: each of several errors is listed with its file, and training refuses the same data.
#[test]
fn every_error_is_listed_at_once() {
    let place = Place::new();
    fs::remove_file(place.path("data/JPEGImages/train_0000.jpg")).unwrap();
    place.write("JPEGImages/train_0001.jpg", "no picture");
    place.write("JPEGImages/train_0002.jpg", "no picture");
    place.edit("labels.json", "\"train_0003\"", "\"train_3\"");
    place.spoil_mask("val_0001", 9);
    let output = check(&place.data(), &[]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for parts in [
        ["JPEGImages: ", "`train_0000`", "is missing"],
        ["JPEGImages/train_0001.jpg: ", "does not decode", ""],
        ["JPEGImages/train_0002.jpg: ", "does not decode", ""],
        ["labels.json: ", "`train_0003`", "has no tags"],
        ["SegmentationClassAug/val_0001.png: ", "value 9", "4 classes"],
    ] {
        assert_lists(&text, "error  ", &parts);
    }
    assert!(text.contains("\n5 errors, ") && text.ends_with(": training would fail\n"), "{text}");
    assert_eq!(place.train(&[]).output().unwrap().status.code(), Some(2));
}

/// Protects: problems that training accepts are warnings, and training accepts them.
#[test]
fn problems_that_training_accepts_are_warnings() {
    let place = Place::new();
    place.spoil_mask("train_0001", 9);
    Rgb8::new(32, 32, vec![128; 32 * 32 * 3])
        .write_png(&place.path("data/SegmentationClassAug/train_0002.png"))
        .unwrap();
    fs::copy(place.path("data/SegmentationClassAug/val_0000.png"), place.path("data/SegmentationClassAug/stray.png"))
        .unwrap();
    let labels = fs::read_to_string(place.path("data/labels.json")).unwrap();
    let mut labels: Value = serde_json::from_str(&labels).unwrap();
    labels["classes"].as_array_mut().unwrap().push("comet".into());
    labels["tags"]["val_0001"] = Value::Array(vec!["comet".into()]);
    place.write("labels.json", labels.to_string());
    let list = fs::read_to_string(place.path("data/ImageSets/Segmentation/train.txt")).unwrap();
    place.write("ImageSets/Segmentation/train.txt", format!("{list}val_0000\n"));

    let output = check(&place.data(), &[]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for parts in [
        ["SegmentationClassAug/train_0001.png: ", "value 9"],
        ["SegmentationClassAug/train_0002.png: ", "not a mask of class indices"],
        ["SegmentationClassAug/stray.png: ", "mask without an image"],
        ["SegmentationClassAug/val_0001.png: ", "does not show `comet`"],
        ["SegmentationClassAug/val_0001.png: ", "is not tagged with"],
        ["JPEGImages/val_0000.jpg: ", "in both `train` and `val`"],
        ["data: ", "no image of `train` has the tag `comet`"],
    ] {
        assert_lists(&text, "warning", &parts);
    }
    assert!(place.train(&[]).output().unwrap().status.success());
}

/// Protects: a missing folder and too few images for a batch are errors like any other.
#[test]
fn a_data_set_that_cannot_be_opened_is_an_error() {
    let output = check("/no/such/folder", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_lists(&printed(&output), "error  ", &["/no/such/folder: no such folder", "PASCAL VOC"]);
    let place = Place::new();
    let output = tagseg(&["check", &place.data(), "--preset", "nano", "--batch", "8"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_lists(&printed(&output), "error  ", &["6 images", "needs 8"]);
}

/// Protects: `check` and `train` say in one line which form a folder has; one with two forms is refused by both until
/// `data.form` chooses, and a run from tags alone is trained without scores.
#[test]
fn the_form_of_a_folder_is_said() {
    let place = Place::new();
    let (folder, out) = (place.path("yolo"), place.arg("yolo_run"));
    fs::create_dir_all(folder.join("images/train")).unwrap();
    fs::create_dir_all(folder.join("labels/train")).unwrap();
    for (number, level) in [(0, 40), (1, 200), (2, 90)] {
        let name = format!("p{number}");
        let picture = Rgb8::from_fn(70, 64, |y, x| [level, y as u8, x as u8]);
        picture.write_png(&folder.join(format!("images/train/{name}.png"))).unwrap();
        fs::write(folder.join(format!("labels/train/{name}.txt")), format!("{} 0.5 0.5 0.1 0.1\n", number % 2))
            .unwrap();
    }
    fs::write(folder.join("data.yaml"), "train: images/train\nval: images/train\nnames: [cat, dog]\n").unwrap();
    let data = folder.to_str().unwrap();
    let output = check(data, &[]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_lists(&text, "note", &["train:", data, "is read as YOLO (data.yaml)"]);

    fs::write(folder.join("labels.csv"), "p0.png,owl\np1.png,fox\np2.png,owl\n").unwrap();
    let text = printed(&check(data, &[]));
    assert_lists(
        &text,
        "error",
        &["YOLO (data.yaml)", "a table of tags (labels.csv)", "data.form=yolo", "data.form=csv"],
    );
    let train = |form: &str| {
        let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", "1", "--overwrite"];
        let form = format!("data.form={form}");
        tagseg(&["train", "--data", data, "--out", &out, "--set", &form]).args(sizes).output().unwrap()
    };
    let output = train("auto");
    assert_eq!((output.status.code(), errors(&output).lines().count()), (Some(2), 1), "{}", errors(&output));
    let output = train("csv");
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.lines().next().unwrap().contains("is read as a table of tags (labels.csv)"), "{text}");
    assert!(fs::read_to_string(place.path("yolo_run/config.toml")).unwrap().contains("form = \"csv\""));
}
