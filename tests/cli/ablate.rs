//! `tagseg ablate`: training, interruption, resuming, refused input.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::place::{Place, errors, succeed, tagseg};

/// The smallest ladder on the data of `place`.
fn ablate(place: &Place, more: &[&str]) -> Command {
    ablate_on(place, &place.data(), more)
}

/// The same on other data.
fn ablate_on(place: &Place, data: &str, more: &[&str]) -> Command {
    let mut command = tagseg(&["ablate", "--data", data, "--out", &place.arg("ladder"), "--base", "nano"]);
    command.args(["--batch", "2", "--crop", "64"]);
    for assignment in ["train.iters=4", "ms.scales=[1]", "train.eval_every=2"] {
        command.args(["--set", assignment]);
    }
    command.args(more);
    command
}

/// Protects: runs of every kind of rung, the table, the plots and the JSON. Finished runs are not repeated, interrupted
/// runs are resumed, and only missing runs are added.
#[test]
fn a_ladder_is_trained_once() {
    let place = Place::new();
    let first = ablate(&place, &["--rungs", "c2s,cls", "--seeds", "1,2"]).output().unwrap();
    assert!(first.status.success(), "{}", errors(&first));
    let table = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(table.starts_with("rung  runs") && table.contains(" ± ") && table.contains("ladder.md"), "{table}");
    assert!(errors(&first).contains("run 2 of 4 (c2s, seed 1)"), "{}", errors(&first));

    let checkpoint = |run: &str| place.path(&format!("ladder/{run}/checkpoints/step_0000004.safetensors"));
    let written = |run: &str| -> SystemTime { fs::metadata(checkpoint(run)).unwrap().modified().unwrap() };
    let before = written("c2s-1");
    // Simulate a power cut during the last step.
    fs::remove_file(checkpoint("cls-2")).unwrap();
    let again = ablate(&place, &["--rungs", "cls,c2s,s2c,full", "--seeds", "1,2"]).output().unwrap();
    let text = errors(&again);
    assert!(again.status.success(), "{text}");
    assert_eq!(written("c2s-1"), before, "a finished run is not touched");
    assert_eq!(text.matches("resumed at step 3 of 4").count(), 1, "{text}");
    assert!(text.contains("run 3 of 8 (s2c, seed 1)") && !text.contains("run 1 of 8"), "{text}");

    let read = |name: &str| fs::read(place.path("ladder").join(name)).unwrap();
    let json: Value = serde_json::from_slice(&read("ladder.json")).unwrap();
    let rungs = json["rungs"].as_array().unwrap();
    assert_eq!(
        rungs.iter().map(|rung| rung["rung"].as_str().unwrap()).collect::<Vec<_>>(),
        ["cls", "c2s", "s2c", "full"]
    );
    for rung in rungs {
        assert_eq!(rung["run_seeds"], serde_json::json!([1, 2]));
        assert_eq!(rung["cam_miou"]["values"].as_array().unwrap().len(), 2);
        assert_eq!(rung["seg_miou"].is_null(), rung["rung"] == "cls", "cls trains no segmentation");
    }
    let page = String::from_utf8(read("ladder.md")).unwrap();
    for part in ["| full | 2 |", "4 steps of 2 crops of 64²", "(ladder.png)", "(feedback.png)"] {
        assert!(page.contains(part), "`{part}` is missing in\n{page}");
    }
    for plot in ["ladder.png", "feedback.png"] {
        let picture = image::load_from_memory(&read(plot)).unwrap().into_rgb8();
        assert!(picture.width() > 1000 && picture.pixels().any(|pixel| pixel != picture.get_pixel(0, 0)), "{plot}");
    }
}

/// Protects: after Ctrl-C, the same command resumes.
#[cfg(unix)]
#[test]
fn a_stopped_ladder_resumes() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let command = || ablate(&place, &["--rungs", "cls", "--seeds", "1,2", "--set", "train.iters=40"]);
    let mut child = command().stderr(std::process::Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut text = String::new();
    for line in lines {
        if line.contains("step 5/40") {
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        }
        text += &format!("{line}\n");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.ends_with("stopped; resume with the same command\n"), "{text}");
    let again = command().output().unwrap();
    assert!(again.status.success() && errors(&again).contains("resumed at step"), "{}", errors(&again));
}

/// Protects: invalid input of a ladder is refused before its first run.
#[test]
fn an_invalid_ladder_is_refused() {
    let place = Place::new();
    place.assert_refuses(&mut ablate(&place, &["--rungs", "cls,sc2"]), &["no rung `sc2`", "cls, c2s, s2c"]);
    place.assert_refuses(&mut ablate(&place, &["--base", "nano"]), &["cannot be used multiple times"]);
    let mut rung = tagseg(&["ablate", "--data", &place.data(), "--out", "ladder", "--base", "nano+s2c"]);
    place.assert_refuses(&mut rung, &["`nano+s2c` selects a single rung", "--rungs"]);

    let one = ["--rungs", "cls", "--seeds", "1"];
    assert!(ablate(&place, &one).output().unwrap().status.success());
    let changed = [&one[..], &["--set", "optim.lr=0.1"]].concat();
    place.assert_refuses(&mut ablate(&place, &changed), &["cls-1", "optim.lr = 0.002, not 0.1", "another --out"]);

    let mask = place.path("data/SegmentationClassAug/train_0000.png");
    fs::remove_file(mask).unwrap();
    place.assert_refuses(&mut ablate(&place, &["--rungs", "full"]), &["learns from masks", "SegmentationClassAug"]);
    let other = place.arg("other");
    succeed(&["shapes", "--out", &other, "--train", "4", "--val", "2", "--size", "32"]);
    let mut elsewhere = ablate_on(&place, &other, &one);
    place.assert_refuses(&mut elsewhere, &["cls-1", "other data"]);
    fs::remove_file(place.path("other/ImageSets/Segmentation/val.txt")).unwrap();
    place.assert_refuses(&mut elsewhere, &["no masks to score"]);
}
