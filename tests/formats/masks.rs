//! Masks in all forms, read by pycocotools, Label Studio's converter and others.

use tagseg::data::{Mask, Rgb8};
use tagseg::run::export::{Arrangement, Export, Form, Labelled};

use crate::place::{Place, read_with, tagseg};

/// A mask from rows of digits; `.` is 255.
fn drawn(rows: &[&str]) -> Mask {
    let value = |letter: u8| if letter == b'.' { 255 } else { letter - b'0' };
    Mask::new(rows.len(), rows[0].len(), rows.iter().flat_map(|row| row.bytes().map(value)).collect())
}

fn painted(height: usize, width: usize, value: impl Fn(usize, usize) -> u8) -> Mask {
    Mask::new(height, width, (0..height * width).map(|place| value(place / width, place % width)).collect())
}

/// Single pixels, thin lines, borders, rings with islands, corners that touch, noise, a photograph's size, a pixel.
fn masks() -> Vec<(&'static str, Mask)> {
    let far = |y: usize, x: usize, at: [usize; 2]| (y.abs_diff(at[0]).pow(2) + x.abs_diff(at[1]).pow(2)) as f64;
    let noise = |y: usize, x: usize| ((x * 2654435761 + y * 40503 * 97) >> 7) as u8 % 6;
    vec![
        ("border", painted(19, 31, |y, x| u8::from(y == 0 || x == 0 || y == 18 || x == 30) * 3)),
        ("checkers", painted(12, 13, |y, x| if (x + y).is_multiple_of(2) { 1 } else { 2 })),
        ("diagonal", painted(21, 21, |y, x| u8::from(x == y) + 2 * u8::from(x + y == 20 && x != y))),
        ("empty", painted(7, 9, |_, _| 0)),
        ("full", painted(7, 9, |_, _| 5)),
        (
            "islands",
            painted(301, 403, |y, x| match far(y, x, [150, 200]).sqrt() as usize / 25 {
                ring @ 0..=4 => [2, 0, 2, 255, 4][ring],
                _ if y > 290 => 1,
                _ => 0,
            }),
        ),
        ("lines", drawn(&["0100000", "0103333", "0100000", "0100020", "2222220", "000002."])),
        ("noise", painted(67, 41, noise)),
        ("pixel", painted(1, 1, |_, _| 4)),
        ("points", drawn(&["100000", "000020", "00.000", "000003"])),
        ("row", painted(1, 50, |_, x| (x % 7 < 3) as u8 * 2)),
        ("sub/nested", painted(50, 1, |y, _| (y % 5 == 1) as u8)),
        ("void", painted(8, 8, |y, _| if y < 4 { 255 } else { 0 })),
    ]
}

/// Protects: every region of every class comes back pixel by pixel, also with holes and several parts, names with letters
/// that the forms must escape, and images in folders.
#[test]
fn every_region_comes_back() {
    let classes = ["cat", "a \"b\" & <c>", "Österreich", "d, e", "f: #g"].map(String::from);
    for (form, name) in [(Form::Coco, "runs"), (Form::CocoPolygons, "polygons")] {
        let place = Place::new();
        let forms = [Form::Png, Form::Overlay, form, Form::YoloSeg, Form::LabelStudio, Form::Cvat, Form::Csv];
        let mut export = Export::new(&place.path("out"), &forms, Arrangement::DataSet, &classes);
        // In another order than that of the images.
        for (index, (id, mask)) in masks().iter().enumerate().rev() {
            let image = Rgb8::from_fn(mask.height, mask.width, |y, x| [y as u8, x as u8, 0]);
            let (file, tag_scores) = (format!("{id}.jpg"), [0.1, 0.25, 0.5, 0.75, 1.0]);
            export.add(&Labelled { index, id, file: &file, image: &image, mask, tag_scores: &tag_scores }).unwrap();
        }
        export.finish().unwrap();
        let printed = read_with("masks.py", &[&place.arg("out"), name]);
        assert!(printed.contains("13 masks, 23 regions"), "{printed}");
    }
}

/// Protects: `predict` and `label` write the forms.
#[test]
fn commands_write_the_forms() {
    let place = Place::new();
    let (data, run) = (place.arg("data"), place.arg("run"));
    tagseg(&["shapes", "--out", &data, "--train", "6", "--val", "2", "--size", "64"]);
    let sizes = ["--preset", "nano", "--steps", "2", "--batch", "2", "--crop", "64"];
    tagseg(&[&["train", "--data", &data, "--out", &run], &sizes[..]].concat());
    let forms = "png,coco,yolo-seg,label-studio,cvat,csv";
    let labels = ["label", &run, "--data", &data, "--out", &place.arg("labels"), "--format", forms];
    tagseg(&labels);
    let printed = read_with("masks.py", &[&place.arg("labels"), "runs"]);
    assert!(printed.contains("6 masks"), "{printed}");

    let (images, out) = (place.arg("data/JPEGImages"), place.arg("seen"));
    tagseg(&["predict", &run, &images, "--out", &out, "--format", &forms.replace("coco", "coco-polygons")]);
    // The reader looks for masks where `label` writes them.
    let folder = place.path("seen/SegmentationClassAug");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(place.path("seen")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "png") {
            std::fs::rename(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let printed = read_with("masks.py", &[&out, "polygons"]);
    assert!(printed.contains("8 masks"), "{printed}");
}
