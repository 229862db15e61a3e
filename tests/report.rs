//! The record, pictures, tables and the page of a run.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::f32::consts::PI;

use tagseg::data::Rgb8;
use tagseg::method::bmp::MAPS;
use tagseg::run::record::{
    EvalRecord, EvalScores, LabelScores, MapScores, Record, RecordWriter, Scores, StepRecord, read_records,
};
use tagseg::run::report::{Cell, Map, Report, Sample, contact_sheet, score_table};

const SIDE: usize = 64;

fn keys(line: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut keys = Vec::new();
    for (key, value) in value.as_object().unwrap() {
        keys.push(key.clone());
        for inner in value.as_object().into_iter().flatten() {
            keys.push(format!("{key}.{}", inner.0));
        }
    }
    keys
}

fn step_record(step: usize) -> StepRecord {
    let fall = (-(step as f64) / 150.0).exp();
    let noise = ((step * 7919 % 101) as f64 / 101.0 - 0.5) * 0.12;
    let on = |from: usize, value: f64| if step > from { value } else { 0.0 };
    let cls = 0.18 + 0.5 * fall + noise;
    let (c2s, s2c, aff) = (on(60, 0.2 + 0.4 * fall + noise), on(120, 0.5 + fall - noise), on(60, 0.3 + 0.2 * fall));
    let total = cls + 0.7 * c2s + 0.1 * s2c + 0.1 * aff;
    StepRecord {
        step,
        loss: [("total", total), ("cls", cls), ("c2s", c2s), ("s2c", s2c), ("aff", aff)].into_iter().collect(),
        lr: 1e-3 * (1.0 - step as f64 / 300.0),
        images_per_second: 3.25,
        empty: [("c2s", 0), ("s2c", 2)].into_iter().collect(),
    }
}

fn eval_record(step: usize) -> EvalRecord {
    let rise = 1.0 - (-(step as f64) / 120.0).exp();
    let eval = EvalScores {
        miou: [("seg", 0.58 * rise * rise), ("cam", 0.18 + 0.3 * rise), ("y_c", 0.2 + 0.47 * rise)]
            .into_iter()
            .collect(),
        cls_f1: 0.9 * rise,
        seg_iou: vec![Some(0.8), None],
    };
    EvalRecord { step, eval }
}

fn scores() -> Scores {
    let label = |base: f64| LabelScores {
        miou: base,
        iou: vec![Some(0.88), Some(base + 0.11), Some(base - 0.13), Some(base + 0.02), None],
        pixel_accuracy: base + 0.3,
        mean_accuracy: base + 0.1,
    };
    let maps = [("seg", "segmentation", 0.534), ("cam", "seeds", 0.452), ("y_c", "Y_c", 0.639)];
    let maps = maps.map(|(name, title, base)| MapScores {
        name: name.into(),
        title: title.into(),
        headline: true,
        scores: label(base),
    });
    Scores { maps: maps.to_vec(), cls_f1: 0.871, images: 120 }
}

/// A disc and a square on stripes, with maps similar to those of the method.
struct Scene {
    photo: Rgb8,
    heat: Vec<f32>,
    truth: Vec<u8>,
    y_c: Vec<u8>,
    y_s: Vec<u8>,
}

fn scene(shift: f32) -> Scene {
    let at = |index: usize| ((index / SIDE) as f32, (index % SIDE) as f32);
    let disc = |index: usize| (at(index).0 - 26.0 - shift).hypot(at(index).1 - 22.0 - 2.0 * shift);
    let square = |index: usize| (at(index).0 - 44.0 + shift).abs().max((at(index).1 - 46.0).abs());
    let label = |index: usize, grow: f32| match (disc(index) < 14.0 + grow, square(index) < 10.0 + grow) {
        (true, _) => 1,
        (_, true) => 2,
        _ => 0,
    };
    let all = 0..SIDE * SIDE;
    let edge = |index: usize| (disc(index) - 14.0).abs() < 2.5 || (square(index) - 10.0).abs() < 2.5;
    let mut image = vec![0; 3 * SIDE * SIDE];
    for (index, value) in image.iter_mut().enumerate() {
        let (channel, pixel) = (index % 3, index / 3);
        let stripes = (at(pixel).0 * 0.4 + at(pixel).1 * 0.25 * (1.0 + shift) + PI * channel as f32 / 3.0).sin();
        let tint = [0.0, if channel == 0 { 1.6 } else { -0.4 }, if channel == 2 { 1.8 } else { 0.3 }];
        *value = (115.0 + 57.0 * (0.5 * stripes + tint[label(pixel, 0.0) as usize])) as u8;
    }
    Scene {
        photo: Rgb8::new(SIDE, SIDE, image),
        heat: (0..16 * 16)
            .map(|cell| {
                let pixel = (cell / 16 * 4 + 2) * SIDE + cell % 16 * 4 + 2;
                (-disc(pixel) / 14.0).exp().max((-square(pixel) / 12.0).exp())
            })
            .collect(),
        truth: all.clone().map(|index| label(index, 0.0)).collect(),
        y_c: all.clone().map(|index| if edge(index) { 255 } else { label(index, 0.0) }).collect(),
        y_s: all.map(|index| if label(index, -3.0) == 0 { 255 } else { label(index, -3.0) }).collect(),
    }
}

fn samples(scenes: &[Scene]) -> Vec<Sample<'_>> {
    let labels = |data| Cell::Labels(Map::new(SIDE, SIDE, data).unwrap());
    scenes
        .iter()
        .map(|scene| Sample {
            photo: scene.photo.clone(),
            maps: vec![
                ("seed", Cell::Heat(Map::new(16, 16, &scene.heat).unwrap())),
                ("Y_c", labels(&scene.y_c)),
                ("Y_s", labels(&scene.y_s)),
                (Sample::PREDICTION, labels(&scene.truth)),
                (Sample::TRUTH, labels(&scene.truth)),
            ],
            caption: "shapes_0007: disc, square".into(),
        })
        .collect()
}

#[test]
fn record_lines_have_exactly_the_documented_keys() {
    let step = serde_json::to_string(&Record::from(step_record(7))).unwrap();
    assert_eq!(
        keys(&step),
        [
            "step",
            "loss",
            "loss.total",
            "loss.cls",
            "loss.c2s",
            "loss.s2c",
            "loss.aff",
            "lr",
            "images_per_second",
            "empty",
            "empty.c2s",
            "empty.s2c"
        ]
    );
    let eval = serde_json::to_string(&Record::from(eval_record(7))).unwrap();
    assert_eq!(
        keys(&eval),
        ["step", "eval", "eval.seg_miou", "eval.cam_miou", "eval.y_c_miou", "eval.cls_f1", "eval.seg_iou"]
    );
    assert!(eval.ends_with(r#""seg_iou":[0.8,null]}}"#), "{eval}");
    assert_eq!(
        keys(&serde_json::to_string(&scores()).unwrap()),
        [
            "seg",
            "seg.miou",
            "seg.iou",
            "seg.pixel_accuracy",
            "seg.mean_accuracy",
            "cam",
            "cam.miou",
            "cam.iou",
            "cam.pixel_accuracy",
            "cam.mean_accuracy",
            "y_c",
            "y_c.miou",
            "y_c.iou",
            "y_c.pixel_accuracy",
            "y_c.mean_accuracy",
            "cls_f1",
            "images"
        ]
    );
}

#[test]
fn the_record_is_appended_to_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    RecordWriter::append_to(&path).unwrap().write(step_record(1)).unwrap();
    RecordWriter::append_to(&path).unwrap().write(eval_record(1)).unwrap();
    let expected = [Record::from(step_record(1)), Record::from(eval_record(1))];
    assert_eq!(read_records(&path).unwrap(), expected);

    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{{\"step\":2,\"lo")).unwrap();
    assert_eq!(read_records(&path).unwrap(), expected, "half a line at the end is skipped");
    std::fs::write(&path, format!("nonsense\n{whole}")).unwrap();
    assert!(read_records(&path).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn a_nan_loss_is_written_as_null_and_read_back() {
    let mut record = step_record(1);
    record.loss =
        record.loss.iter().map(|(name, value)| (name, if name == "c2s" { f64::NAN } else { *value })).collect();
    let line = serde_json::to_string(&record).unwrap();
    let back: StepRecord = serde_json::from_str(&line).unwrap();
    assert!(line.contains("\"c2s\":null") && back.loss.get("c2s").unwrap().is_nan());
}

#[test]
fn the_sheet_has_a_cell_for_every_sample_and_column() {
    let scenes = [scene(0.0), scene(4.0)];
    let rows = samples(&scenes);
    let cells = rows[0].cells();
    assert!(cells.iter().all(|(_, cell)| (cell.height, cell.width) == (192, 192)), "64 is enlarged three times");
    let sheet = contact_sheet(&rows);
    assert_eq!((sheet.width, sheet.height), (28 + 6 * 198 - 6, 28 + 26 + 2 * 198));

    let mut without_truth = rows;
    without_truth.iter_mut().for_each(|row| row.maps.retain(|(title, _)| *title != Sample::TRUTH));
    assert_eq!(contact_sheet(&without_truth).width, 28 + 5 * 198 - 6);
    assert!(contact_sheet(&[]).width > 0);
}

#[test]
fn labels_have_distinct_colours() {
    let scenes = [scene(0.0)];
    let cells = samples(&scenes)[0].cells();
    let (_, y_c) = cells.iter().find(|(title, _)| *title == "Y_c").unwrap();
    let class_one = y_c.pixel(26 * 3, 22 * 3);
    assert!(
        class_one[0] > class_one[1] && class_one[0] > class_one[2],
        "{class_one:?} leans to {:?}",
        tagseg::data::palette::colour(1)
    );
}

#[test]
fn the_score_table_is_aligned() {
    let classes = ["background", "disc", "square", "cross", "ring"].map(String::from);
    let text = score_table(&scores(), &classes);
    let widths: Vec<_> = text.lines().take(10).map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    assert!(text.contains("background              88.0   88.0  88.0"), "{text}");
    assert!(text.contains("multi-label F1 87.1 over 120 images"));
}

#[test]
fn the_page_is_self_contained() {
    let scenes = [scene(0.0), scene(3.0), scene(7.0)];
    let mut records: Vec<Record> = (1..=300).step_by(2).map(|step| step_record(step).into()).collect();
    records.extend((0..=6).map(|n| Record::from(eval_record(n * 50))));
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let report = Report {
        title: "Shapes <learned> from tags".into(),
        summary: "A nano network of 0.4 million weights, trained from scratch for 300 steps on 500 images of textured \
                  shapes. Its only labels were the shapes in each image, not their positions."
            .into(),
        facts: vec![
            fact("device", "llvmpipe (LLVM 15, software Vulkan)"),
            fact("steps", "300 of 8 images"),
            fact("crop", "64 × 64"),
            fact("time", "4 min 12 s"),
            fact("seed", "1"),
        ],
        classes: ["background", "disc", "square", "cross", "ring"].map(String::from).to_vec(),
        maps: MAPS.to_vec(),
        scores: Some(scores()),
        records,
        events: vec![(60, "c2s".into()), (60, "affinity".into()), (120, "s2c".into()), (120, "BSP".into())],
        samples: samples(&scenes),
        config: tagseg::config::Config::preset("nano").unwrap().to_toml(),
    };
    let html = report.html().unwrap();
    if let Some(folder) = std::env::var_os("TAGSEG_KEEP") {
        let folder = std::path::PathBuf::from(folder);
        report.save(folder.join("report.html")).unwrap();
        std::fs::write(folder.join("sheet.png"), contact_sheet(&report.samples).png().unwrap()).unwrap();
    }
    assert!(html.contains("<h1>Shapes &lt;learned&gt; from tags</h1>"));
    for part in ["llvmpipe", "53.4", "Seeds", "<svg", "<polyline class=\"line s4\"", "absent", "optim.lr = 0.002"] {
        assert!(html.contains(part), "{part}");
    }
    assert_eq!(html.matches("<svg").count(), 2);
    assert_eq!(html.matches("data:image/png;base64,").count(), 18);
    for outside in ["http:", "https:", "<script", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    let charts: String = html.split("<svg").skip(1).filter_map(|rest| rest.split("</svg>").next()).collect();
    assert!(!charts.contains("NaN") && !charts.contains("inf"));
}

#[test]
fn an_empty_report_is_still_a_page() {
    let html = Report::default().html().unwrap();
    assert!(html.starts_with("<!doctype html>") && !html.contains("<svg"));
}
