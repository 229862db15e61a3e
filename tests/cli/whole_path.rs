//! From generated data to a segmented image, and the files that each command writes.

use std::fs;

use serde_json::Value;
use tagseg::config::{Config, Precision};
use tagseg::data::Rgb8;
use tagseg::data::palette::read_index_png;
use tagseg::run::weights::Checkpoint;

use crate::place::{Place, checkpoint, errors, succeed, tagseg, trained};

/// The names in a JSON object, with those of the objects inside.
fn keys(value: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in value.as_object().unwrap() {
        keys.push(key.clone());
        keys.extend(value.as_object().into_iter().flatten().map(|(inner, _)| format!("{key}.{inner}")));
    }
    keys
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

/// Protects: the field names in `metrics.jsonl`, which other programs read.
#[test]
fn the_metrics_have_a_line_per_window_and_per_evaluation() {
    let text = fs::read_to_string(trained().join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (evaluations, steps): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("eval").is_some());
    for lines in [&evaluations, &steps] {
        assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4, 6]);
    }
    let losses = ["step", "loss", "loss.total", "loss.cls", "loss.c2s", "loss.s2c", "loss.aff", "lr"];
    let speed = ["images_per_second", "empty", "empty.c2s", "empty.s2c"];
    let scores = ["step", "eval", "eval.seg_miou", "eval.cam_miou", "eval.y_c_miou", "eval.cls_f1", "eval.seg_iou"];
    for line in steps {
        assert_eq!(keys(line), [&losses[..], &speed[..]].concat());
        assert!(line["loss"]["total"].as_f64().unwrap() > 0.0 && line["images_per_second"].as_f64().unwrap() > 0.0);
        assert!(line["empty"]["c2s"].is_u64() && line["empty"]["s2c"].is_u64());
    }
    for line in evaluations {
        assert_eq!(keys(line), scores);
        assert_eq!(line["eval"]["seg_iou"].as_array().unwrap().len(), 5, "background and four classes");
    }
}

/// Protects: a run folder contains everything that is needed to repeat the run.
#[test]
fn the_configuration_of_a_run_loads_again() {
    let path = trained().join("config.toml");
    let config = Config::from_toml(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((config.seed, config.train_iters, config.batch_global, config.train_crop), (7, 6, 2, 64));
    assert_eq!(Checkpoint::load(&checkpoint()).unwrap().config, config, "the checkpoint contains the same");
    let mut again = Config::default();
    again.load_file(&path).unwrap();
    assert_eq!(again, config);
}

/// Protects: a run leaves the checkpoints of the newest evaluations, a picture of every evaluation, and no partial
/// file.
#[test]
fn a_run_leaves_checkpoints_and_pictures() {
    let names = |folder: &str| {
        let entries = fs::read_dir(trained().join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["checkpoints", "config.toml", "lock", "metrics.jsonl", "pictures"]);
    let best = fs::read_to_string(trained().join("checkpoints/best")).unwrap();
    let latest = ["step_0000004.safetensors", "step_0000006.safetensors"];
    let mut expected = [&["best", "latest", best.trim_end()], &latest[..]].concat();
    expected.sort();
    expected.dedup();
    assert_eq!(names("checkpoints"), expected);
    assert_eq!(names("pictures"), ["step_0000002.png", "step_0000004.png", "step_0000006.png"]);
    let sheet = Rgb8::read(&trained().join("pictures/step_0000006.png")).unwrap();
    assert!(sheet.data.iter().any(|&byte| byte != sheet.data[0]), "the pictures show something");
}

/// Protects: the field names in `eval --json`; scores are fractions; a run and its newest checkpoint are the same
/// network.
#[test]
fn scores_are_printed_as_json_and_as_a_table() {
    let data = trained().with_file_name("data");
    let (run, file, data) = (trained().to_str().unwrap(), checkpoint(), data.to_str().unwrap());
    let text = succeed(&["eval", run, "--data", data, "--split", "val", "--json"]);
    assert_eq!(text.lines().count(), 1, "one object on one line");
    let scores: Value = serde_json::from_str(&text).unwrap();
    let of = |name: &str| {
        ["", ".miou", ".iou", ".pixel_accuracy", ".mean_accuracy"].map(|part| format!("{name}{part}")).to_vec()
    };
    let rest = ["cls_f1", "images"].map(String::from).to_vec();
    assert_eq!(keys(&scores), [of("seg"), of("cam"), of("afa"), of("y_c"), rest].concat());
    assert_eq!(scores["images"], 6);
    for name in ["seg", "cam", "afa", "y_c"] {
        let iou = &scores[name]["iou"];
        assert_eq!(iou.as_array().unwrap().len(), 5);
        let fractions = [numbers(iou), vec![scores[name]["pixel_accuracy"].as_f64().unwrap()]].concat();
        assert!(fractions.iter().all(|value| (0.0..=1.0).contains(value)), "{name}: {fractions:?}");
    }
    assert_eq!(succeed(&["eval", file.to_str().unwrap(), "--data", data, "--json"]), text);

    let table = succeed(&["eval", run, "--data", data]);
    for word in ["background", "disc", "square", "triangle", "ring", "mean", "F1", "6 images"] {
        assert!(table.contains(word), "{word} is missing in\n{table}");
    }
}

/// Protects: a run with micro-batches prints its effective batch and resumes like any other.
#[test]
fn micro_batches_are_reported() {
    let place = Place::new();
    let save = ["--set", "train.save_every=1"];
    let output = place.train(&[&["--batch", "4", "--micro-batch", "2"], &save[..]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert!(errors(&output).contains("effective batch 4 = 2 × 2 of 64²"), "{}", errors(&output));
    let end = |run: &str| Checkpoint::load(&place.path(run).join("checkpoints/step_0000002.safetensors")).unwrap();
    let whole = end("run");
    fs::remove_file(place.path("run/checkpoints/step_0000002.safetensors")).unwrap();
    succeed(&["train", "--resume", &place.arg("run")]);
    assert!(end("run").tensors == whole.tensors, "bit-identical after a stop between the steps");
}

/// Protects: the same random seed gives a bit-identical network, with any limits and with --nice; another seed does
/// not.
#[test]
fn a_run_can_be_repeated() {
    let place = Place::new();
    let train = |name: &str, seed: &str, more: &[&str]| {
        let flags = [&["--seed", seed, "--overwrite"], more].concat();
        let output = place.train_into(name, &flags).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let checkpoint = Checkpoint::open(&place.path(name)).unwrap().checkpoint;
        (checkpoint.tensors, checkpoint.training.unwrap().states)
    };
    let first = train("run", "3", &[]);
    assert!(first == train("again", "3", &["--nice", "--limits", "default"]), "one seed, one network");
    assert!(first != train("again", "4", &[]), "over the run before, from another seed");
}

/// Protects: predictions are masks of class indices with the VOC palette, at the image's own size.
#[test]
fn predictions_are_masks_of_the_images_size() {
    let place = Place::new();
    let wide = place.path("wide.png");
    Rgb8::new(40, 150, (0..40 * 150 * 3).map(|place| (place % 251) as u8).collect()).write_png(&wide).unwrap();
    let small = place.path("data/JPEGImages/val_0001.jpg");
    let (run, out) = (trained().to_str().unwrap(), place.arg("seen"));
    succeed(&["predict", run, "--out", &out, wide.to_str().unwrap(), small.to_str().unwrap()]);
    for (name, size) in [("wide", (40, 150)), ("val_0001", (32, 32))] {
        let path = place.path("seen").join(format!("{name}.png"));
        let mask = read_index_png(&path).unwrap();
        assert_eq!((mask.height, mask.width), size, "{name}");
        assert!(mask.data.iter().all(|&value| value <= 4), "{name} holds classes only");
        let png = fs::read(&path).unwrap();
        let palette = png.windows(4).position(|bytes| bytes == b"PLTE").unwrap() + 4;
        assert_eq!(png[palette..][..6], [0, 0, 0, 128, 0, 0], "{name} has the VOC palette");
        let overlay = Rgb8::read(&place.path("seen").join(format!("{name}_overlay.png"))).unwrap();
        assert_eq!((overlay.height, overlay.width), size, "{name}");
    }
}

/// Protects: `devices` lists the features of each adapter, the largest training step, and the result of `verify`.
#[test]
fn adapters_are_listed_with_what_fits_and_verified() {
    let printed = succeed(&["devices", "--fit", "--verify"]);
    let rows: Vec<_> = printed.lines().take_while(|line| !line.starts_with("0: ")).collect();
    assert!(rows.len() > 2 && rows[0].contains("driver") && rows.iter().any(|row| row.contains("auto")), "{printed}");
    // With WebGPU's default limits, no optional feature is used.
    let whole = std::env::var("TAGSEG_LIMITS").as_deref() != Ok("default");
    let subgroups = if whole { "chosen" } else { "not within these limits" };
    for part in [
        "0: conversions of halves not needed here, cooperative matrices not needed here, cooperative matrices of halves not \
         needed here, products by subgroups ",
        &format!(
            "products by subgroups {subgroups}, shared rows not needed here, tiled attention not needed here, \
             tiled products not needed here"
        ),
        "0: nano at 96² fits up to ",
        "0: 7 of 7 cases pass",
    ] {
        assert!(printed.contains(part), "`{part}` is missing in:\n{printed}");
    }
    let adapters: Value = serde_json::from_str(&succeed(&["devices", "--json", "--fit"])).unwrap();
    let first = &adapters[0];
    assert!(first["max_binding"].as_u64().unwrap() >= 128 << 20 && first["storage_buffers"].as_u64().unwrap() >= 8);
    assert!(first["fit"][0]["preset"] == "nano" && first["fit"][0]["batch"].as_u64().unwrap() >= 8, "{first:#}");
    assert_eq!(first["families"]["tiled products"], "not needed here", "lavapipe is not a graphics card");
    assert!(first["verified"].is_null(), "not requested");
}

/// Protects: everything works without a driver.
#[test]
fn the_whole_path_without_a_driver() {
    let place = Place::new();
    let blind = |mut command: std::process::Command| {
        let output = command.envs([("VK_DRIVER_FILES", "/none"), ("VK_ICD_FILENAMES", "/none")]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let reference = ["--device", "reference"];
    let one = ["--batch", "1", "--set", "loss.replica_size=1"];
    let mut train = tagseg(&["train", "--preset", "nano", "--steps", "2", "--crop", "64", "--data", &place.data()]);
    train.args(["--out", &place.arg("run")]).args(one).args(reference);
    blind(train);
    let scores: Value =
        serde_json::from_str(&blind(place.eval(&place.path("run"), &["--json", "--device", "reference"]))).unwrap();
    assert_eq!(scores["images"], 2);
    let image = format!("{}/JPEGImages/val_0001.jpg", place.data());
    blind(tagseg(&["predict", &place.arg("run"), "--out", &place.arg("seen"), &image, "--device", "reference"]));
    assert_eq!(read_index_png(&place.path("seen/val_0001.png")).unwrap().data.len(), 32 * 32);
}

/// Protects: `train --plan` prints the memory use of a step and writes nothing.
#[test]
fn a_plan_is_printed_and_nothing_is_trained() {
    let place = Place::new();
    let data = place.data();
    let plan = ["train", "--preset", "nano", "--plan", "--data", &data, "--set", "train.crop=64"];
    let text = succeed(&plan);
    for part in [
        "states: parameters, moments, statistics",
        "pool of buffers",
        "alive at the peak",
        "src/engine/nn/attention.rs",
    ] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 1, "nothing is written");
    let text = succeed(&[&plan[..], &["--device", "reference"]].concat());
    assert_eq!(text, "the reference interpreter has no memory plan; select another --device\n");
}

/// Protects: a step with micro-batches, including its undivided pass, stays within WebGPU's default binding size, at
/// the sizes of the published recipe and twice its batch.
#[test]
fn micro_batches_fit_the_default_binding_size() {
    let place = Place::new();
    let sizes = ["--preset", "voc", "--batch", "16", "--micro-batch", "2", "--limits", "default"];
    let text = succeed(&[&["train", "--plan", "--data", &place.data()], &sizes[..]].concat());
    let largest = text.lines().find(|line| line.starts_with("largest buffer")).unwrap();
    assert!(largest.ends_with(" 128.0"), "{text}");
}

/// Protects: `s2c.map=propagated` trains, with and without micro-batches, and the run can be scored.
#[test]
fn a_run_on_the_propagated_map() {
    let place = Place::new();
    let settings = ["s2c.map=propagated", "sigma_s=-10", "schedule.n_c2s=0", "schedule.n_s2c=0", "schedule.n_bsp=2"];
    let more: Vec<_> =
        settings.iter().chain(&["train.iters=4", "train.log_every=1"]).flat_map(|s| ["--set", s]).collect();
    for parts in [&[][..], &["--set", "batch.global=4", "--set", "batch.micro=2"]] {
        let run = format!("run{}", parts.len());
        let output = place.train_into(&run, &[&more[..], parts].concat()).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let text = fs::read_to_string(place.path(&run).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let s2c: Vec<_> = lines.filter_map(|line: Value| line.pointer("/loss/s2c").and_then(Value::as_f64)).collect();
        assert!(s2c.len() == 4 && s2c[1..].iter().all(|&loss| loss > 0.0 && loss.is_finite()), "{s2c:?}");
        let scored = place.eval(&place.path(&run), &["--json"]).output().unwrap();
        assert!(scored.status.success(), "{}", errors(&scored));
    }
}

/// Protects: half precision trains, is stored with the run, and can be overridden in an evaluation.
#[test]
fn a_run_in_half_precision() {
    let place = Place::new();
    let output = place.train(&["--precision", "mixed", "--set", "schedule.n_c2s=0"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let config = Config::from_toml(&fs::read_to_string(place.path("run/config.toml")).unwrap()).unwrap();
    assert_eq!(config.train_precision, Precision::Mixed);
    let scores = |more: &[&str]| {
        let output = place.eval(&place.path("run"), &[&["--json"], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        output.stdout
    };
    assert_eq!(scores(&[]), scores(&["--precision", "mixed"]));
    assert_eq!(scores(&["--precision", "f32"]), scores(&["--set", "train.precision=f32"]));
    place.assert_refuses(&mut place.eval(&place.path("run"), &["--precision", "half"]), &["train.precision", "mixed"]);
}
