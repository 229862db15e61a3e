//! Invalid options, devices, networks and output paths: refused in one line, before anything is written.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use tagseg::run::weights::Checkpoint;

use crate::place::{Place, assert_refused, checkpoint, tagseg, trained};

#[test]
fn an_unknown_option() {
    let place = Place::new();
    place.assert_refuses(&mut place.train(&["--set", "optim.rl=1e-3"]), &["`optim.rl`", "did you mean `optim.lr`"]);
    place.write("mine.toml", "[train]\niter = 5\n");
    let file = place.arg("data/mine.toml");
    place.assert_refuses(&mut place.train(&["--config", &file]), &["`train.iter`", "did you mean `train.iters`"]);
}

#[test]
fn a_value_that_is_not_allowed() {
    let place = Place::new();
    let refusals = [
        ("batch.global=0", "from 1 to 4096"),
        ("batch.global=3", "loss.replica_size"),
        ("batch.micro=1", "a multiple of 2 (loss.replica_size) that divides 2 (batch.global)"),
        ("batch.ranks=2", "give 1, or change batch.global or loss.replica_size"),
        ("train.crop=60", "48 or 64"),
        ("train.crop=32", "larger crop"),
        ("train.crop=1600000000", "from 32 to 8192"),
        ("train.iters=9000000000000000", "from 1 to 10000000"),
        ("train.log_every=9000000000000000000", "give at most 100000"),
        ("ms.scales=[1e9]", "from 0.01 to 16"),
        ("test.long_side=100000000", "from 0 to 16384"),
        ("crf.iterations=1000000000000", "from 0 to 1000"),
        ("data.scale=[1e9, 1e9]", "from 0.01 to 16"),
        ("model.backbone=mit_b9", "mit_b1"),
        ("cam.low=0.9", "cam.low"),
        ("optim.lr=fast", "a number"),
        ("propagation=crf", "bsp or par"),
        ("s2c.map=cams", "cam_logits or propagated"),
        ("train.precision=bf16", "f32 or mixed"),
    ];
    for (assignment, part) in refusals {
        place.assert_refuses(&mut place.train(&["--set", assignment]), &[part]);
    }
    place.assert_refuses(&mut place.train(&["--set", "sigma_c"]), &["`sigma_c`", "write key=value"]);
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let place = Place::new();
    place.assert_refuses(&mut place.train(&["--config", "/no/file.toml"]), &["/no/file.toml", "give a TOML file"]);
    place.write("mine.toml", "seed = 1\ntrain.iters 5\n");
    let file = place.arg("data/mine.toml");
    place.assert_refuses(&mut place.train(&["--config", &file]), &["line 2 is not TOML", "train.iters 5"]);
}

/// Protects: an invalid command line is refused in one line, with a suggestion.
#[test]
fn an_invalid_command_line() {
    let refusals: [(&[&str], &[&str]); 17] = [
        (&["trian"], &["trian", "'train'"]),
        (&["train", "--data", "d"], &["--out <RUN>"]),
        (&["train", "--data", "d", "--out", "r", "--step", "5"], &["--step", "--steps"]),
        (&["train", "--data", "d", "--out", "r", "--preset", "nanoo"], &["nanoo", "voc, voc-paper", "nano"]),
        (&["shapes", "--out", "d", "--train", "none"], &["none", "whole number"]),
        (&["shapes", "--out", "d", "--train", "0"], &["'--train <N>'", "from 1 to 100000"]),
        (&["shapes", "--out", "d", "--train", "100001"], &["'--train <N>'", "from 1 to 100000"]),
        (&["shapes", "--out", "d", "--val", "-1"], &["'-1'", "'--val <N>'", "from 1 to 100000"]),
        (&["shapes", "--out", "d", "--val", "99999999999999999999"], &["'--val <N>'", "from 1 to 100000"]),
        (&["shapes", "--out", "d", "--seed", "-1"], &["'-1'", "'--seed <N>'", "from 0 to"]),
        (&["bench", "--rounds", "0"], &["'--rounds <N>'", "from 1 to 1000"]),
        (&["bench", "--classes", "255"], &["'--classes <N>'", "from 1 to 254"]),
        (&["demo", "--steps", "-5"], &["`train.iters`: -5", "from 1 to 10000000"]),
        (&["demo", "--steps", "99999999999999999999"], &["`train.iters`", "from 1 to 10000000"]),
        (&["ablate", "--data", "d", "--out", "r", "--seeds", "1,-2"], &["'-2'", "'--seeds <N,M>'", "from 0 to"]),
        (&["devices", "--set", "x=1"], &["'--set' found; see `tagseg devices --help`"]),
        (&["shapes", "--out", "d", "--size", "1000000"], &["1000000", "from 32 to 4096"]),
    ];
    for (args, parts) in refusals {
        assert_refused(&tagseg(args).output().unwrap(), parts);
    }
}

/// Protects: a run that does not fit the device is refused immediately, with the memory that it needs.
#[test]
fn a_model_that_does_not_fit_the_device() {
    let place = Place::new();
    let start = Instant::now();
    let huge = ["--crop", "4096", "--batch", "6"];
    place.assert_refuses(&mut place.train(&huge), &["the plan needs a buffer of", "MiB in total", "smaller crop"]);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Protects: if memory is short, the error suggests the options that save memory and are not in use yet.
#[test]
fn a_memory_limit_that_is_too_low() {
    let place = Place::new();
    let limit = ["--memory", "1MB", "--batch", "4", "--plan"];
    let train = |more: &[&str]| place.train(&[&limit, more].concat());
    // By default, the batch is split into two micro-batches of two images.
    let parts =
        ["the plan needs", "but the limit is 1.0 MiB, with a micro-batch of 2; set train.precision=mixed, or raise"];
    place.assert_refuses(&mut train(&[]), &parts);
    let whole = ["the limit is 1.0 MiB; set batch.micro=2 or train.precision=mixed, or raise train.memory, or choose"];
    place.assert_refuses(&mut train(&["--micro-batch", "4"]), &whole);
    let nothing_left = ["with a micro-batch of 2; raise train.memory, or choose a smaller crop"];
    place.assert_refuses(&mut train(&["--micro-batch", "2", "--precision", "mixed"]), &nothing_left);
}

/// Protects: `--limits default` restricts every adapter to WebGPU's defaults; other names are refused, also in the
/// environment.
#[test]
fn limits() {
    let place = Place::new();
    let large = ["--crop", "2048", "--limits", "default"];
    place.assert_refuses(&mut place.train(&large), &["the plan needs a buffer of", "binds at most 128.0 MiB"]);
    let parts = ["unknown limits `some`", "`adapter` or `default`"];
    assert_refused(&tagseg(&["verify", "--limits", "some"]).output().unwrap(), &parts);
    assert_refused(&tagseg(&["verify"]).env("TAGSEG_LIMITS", "some").output().unwrap(), &parts);
}

#[test]
fn an_unknown_device() {
    let place = Place::new();
    for device in ["voodoo", "99"] {
        let parts = [&format!("no adapter `{device}`")[..], "tagseg devices"];
        place.assert_refuses(&mut place.train(&["--device", device]), &parts);
        place.assert_refuses(&mut place.eval(trained(), &["--device", device]), &parts);
        assert_refused(&tagseg(&["verify", "--device", device]).output().unwrap(), &parts);
    }
}

/// Protects: without a driver, every command that needs one explains how to install one and how to run on the CPU.
#[test]
fn no_adapter_at_all() {
    let place = Place::new();
    let parts = ["no graphics adapter", "apt-get install mesa-vulkan-drivers", "--device reference"];
    let (run, image) = (trained().to_str().unwrap(), place.arg("data/JPEGImages/val_0000.jpg"));
    let commands = [
        place.train(&[]),
        place.eval(trained(), &[]),
        tagseg(&["predict", run, "--out", &place.arg("seen"), &image]),
        tagseg(&["demo", "--out", &place.arg("demo")]),
        tagseg(&["verify"]),
    ];
    for mut command in commands {
        // Mesa's drivers complain on standard error if this variable is missing; the program must prevent it.
        command.envs([("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent")]);
        place.assert_refuses(command.env_remove("XDG_RUNTIME_DIR"), &parts);
    }
    let output =
        tagseg(&["devices", "--json"]).env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none").output();
    assert_eq!(String::from_utf8_lossy(&output.unwrap().stdout), "[]\n", "an empty list is not an error");
}

#[test]
fn a_run_that_exists() {
    let place = Place::new();
    fs::create_dir(place.path("run")).unwrap();
    fs::write(place.path("run/notes.txt"), "mine").unwrap();
    place.assert_refuses(&mut place.train(&[]), &["run: already exists", "--overwrite"]);
    place.assert_refuses(&mut place.train_into("run/notes.txt", &["--overwrite"]), &["notes.txt", "is a file"]);
    assert!(place.train(&["--overwrite"]).output().unwrap().status.success());
    assert_eq!(
        fs::read_to_string(place.path("run/notes.txt")).unwrap(),
        "mine",
        "only the files of a run are overwritten"
    );
}

/// Protects: a folder instead of a file, and a file instead of a folder, are refused with their path and a remedy.
#[test]
fn a_folder_for_a_file_and_a_file_for_a_folder() {
    let place = Place::new();
    let (folder, file) = (place.data(), place.arg("data/labels.json"));
    place.assert_refuses(
        &mut place.train(&["--weights", &folder]),
        &["data: contains no checkpoint; give the folder of a run"],
    );
    for flag in ["--config", "--kernels"] {
        place.assert_refuses(&mut place.train(&[flag, &folder]), &["data: Is a directory", "give "]);
    }
    let data = |command: &str, more: &[&str]| tagseg(&[&[command, "--data", &file], more].concat());
    let out = place.arg("out");
    let run = trained().to_str().unwrap();
    let mut refused = [
        (data("train", &["--preset", "nano", "--out", &out]), "labels.json: no such folder; expected a data set"),
        (data("ablate", &["--preset", "nano", "--out", &out]), "labels.json: no such folder; expected a data set"),
        (data("eval", &[run]), "labels.json: no such folder; expected a data set"),
        (tagseg(&["train", "--resume", &file]), "labels.json: is not a folder; give a folder that"),
        (tagseg(&["verify", &file]), "labels.json: is not a folder; give a folder with"),
        (tagseg(&["replay", &file]), "give the folder `failure`"),
        (tagseg(&["shapes", "--out", &file]), "labels.json: is a file; give the name of a folder"),
        (tagseg(&["demo", "--out", &file]), "labels.json: is a file; give the name of a folder"),
        (tagseg(&["weights", "inspect", &folder]), "data: contains no checkpoint; give the folder of a run"),
        (tagseg(&["weights", "convert", run, &folder]), "data: is a folder; give the name of a file"),
    ];
    for (command, part) in &mut refused {
        place.assert_refuses(command, &[part]);
    }
}

#[test]
fn an_invalid_network() {
    let place = Place::new();
    let whole = fs::read(checkpoint()).unwrap();
    let spoilt = |name: &str, bytes: &[u8]| {
        fs::write(place.path(name), bytes).unwrap();
        place.path(name)
    };
    let remedy = "`tagseg train` wrote";
    let truncated = spoilt("truncated.safetensors", &whole[..whole.len() / 2]);
    place.assert_refuses(&mut place.eval(&truncated, &[]), &["truncated.safetensors", "is damaged", remedy]);
    let mut bytes = whole.clone();
    bytes[8..40].fill(b'x');
    let damaged = spoilt("damaged.safetensors", &bytes);
    place.assert_refuses(&mut place.eval(&damaged, &[]), &["damaged.safetensors", "is damaged", remedy]);
    let text = spoilt("notes.txt", b"notes");
    place.assert_refuses(&mut place.eval(&text, &[]), &["notes.txt", "is another kind of file", remedy]);
    let empty = spoilt("empty.safetensors", &[&2u64.to_le_bytes()[..], b"{}"].concat());
    place.assert_refuses(&mut place.eval(&empty, &[]), &["contains no configuration", remedy]);

    let mut other = Checkpoint::load(&checkpoint()).unwrap();
    other.tensors.remove("classifier.weight").expect("the classifier is called so");
    other.save(&place.path("other.safetensors")).unwrap();
    let parts = ["other.safetensors", "lacks `classifier.weight`", "`tagseg train` wrote"];
    place.assert_refuses(&mut place.eval(&place.path("other.safetensors"), &[]), &parts);

    place.assert_refuses(
        &mut place.eval(&place.path("nowhere"), &[]),
        &["nowhere", "does not exist", "folder of a run"],
    );
    place.assert_refuses(
        &mut place.eval(&place.path("data"), &[]),
        &["data", "contains no checkpoint", "folder of a run"],
    );
}

#[test]
fn a_prediction_that_would_overwrite_files() {
    let place = Place::new();
    let run = trained().to_str().unwrap();
    let (image, out) = (place.arg("data/JPEGImages/val_0000.jpg"), place.arg("seen"));
    fs::create_dir(place.path("seen")).unwrap();
    fs::write(place.path("seen/val_0000_overlay.png"), "mine").unwrap();
    let predict = |more: &[&str]| tagseg(&[&["predict", run, "--out", &out], more].concat());
    place.assert_refuses(&mut predict(&[&image]), &["seen/val_0000_overlay.png", "already exists", "--overwrite"]);
    assert!(predict(&[&image, "--overwrite"]).output().unwrap().status.success());

    let twin = place.arg("data/val_0000.jpg");
    fs::copy(&image, &twin).unwrap();
    let parts = ["seen/val_0000_overlay.png", "both", &image, &twin, "different names"];
    place.assert_refuses(&mut predict(&[&image, &twin, "--overwrite"]), &parts);

    // The mask would overwrite its own image.
    let mask = place.arg("seen/val_0000.png");
    let parts = ["seen/val_0000.png", "one of the images", "another --out"];
    place.assert_refuses(&mut predict(&[&mask, "--overwrite"]), &parts);
    place.assert_refuses(&mut predict(&["/no/photo.jpg"]), &["/no/photo.jpg", "No such file"]);
}

/// Protects: errors are reported in this order: inputs, network, output files, device.
#[test]
fn a_prediction_checks_its_inputs_first() {
    let place = Place::new();
    let (image, out) = (place.arg("data/JPEGImages/val_0000.jpg"), place.arg("seen"));
    fs::create_dir(place.path("seen")).unwrap();
    fs::create_dir(place.path("none")).unwrap();
    fs::write(place.path("seen/val_0000.png"), "mine").unwrap();
    let mut other = Checkpoint::load(&checkpoint()).unwrap();
    other.tensors.remove("classifier.weight").unwrap();
    other.save(&place.path("other.safetensors")).unwrap();

    let mut network = trained().to_str().unwrap().to_owned();
    let predict = |network: &str, input: &str, more: &[&str]| {
        tagseg(&[&["predict", network, "--device", "voodoo", "--out", &out, input], more].concat())
    };
    let refuses = |command: &mut Command, parts: &[&str]| place.assert_refuses(command, parts);
    refuses(&mut predict("nowhere", "/no/photo.jpg", &[]), &["/no/photo.jpg", "check the path"]);
    refuses(&mut predict("nowhere", &place.arg("none"), &[]), &["none: contains no images"]);
    refuses(&mut predict("nowhere", &image, &[]), &["nowhere: does not exist"]);
    refuses(&mut predict(&place.arg("other.safetensors"), &image, &[]), &["other", "lacks `classifier.weight`"]);
    refuses(&mut predict(&network, &image, &["--set", "sigma_c=1"]), &["`sigma_c`", "fixed by training"]);
    refuses(&mut predict(&network, &image, &["--set", "crf.iters=-1"]), &["`crf.iters`"]);
    refuses(&mut predict(&network, &image, &[]), &["val_0000.png: already exists"]);
    refuses(&mut predict(&network, &image, &["--overwrite"]), &["no adapter `voodoo`"]);
    network.push_str("/config.toml");
    refuses(&mut predict(&network, &image, &[]), &["config.toml", "is another kind of file"]);
    let file = tagseg(&["predict", trained().to_str().unwrap(), "--out", &place.arg("other.safetensors"), &image]);
    refuses(&mut { file }, &["other.safetensors: is a file; give the name of a folder"]);
}

/// Protects: output paths are checked before hours of scoring.
#[test]
fn scores_that_cannot_be_written() {
    let place = Place::new();
    let (folder, nowhere) = (place.data(), place.arg("nowhere/scores.json"));
    for flag in ["--json", "--confusion"] {
        // Reported before the network, which is missing too.
        let eval = |file: &str| place.eval(&place.path("none"), &[flag, file]);
        place.assert_refuses(&mut eval(&folder), &["data: is a folder", "name of a file"]);
        place.assert_refuses(&mut eval(&nowhere), &["nowhere: is not a folder; create it to write"]);
    }
}

#[test]
fn missing_golden_cases() {
    let place = Place::new();
    let args = ["verify", "/no/cases", "--device", "reference"];
    place.assert_refuses(&mut tagseg(&args), &["/no/cases", "is not a folder"]);
}
