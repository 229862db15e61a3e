//! Damaged files.

use std::fs;
use std::io::Write;

use tagseg::run::weights::Checkpoints;

use crate::place::{STEPS, assert_untouched, copy, data, errors, resume, tagseg, untouched};

/// Protects: a newest checkpoint with one flipped bit is skipped with a message, by `eval`, `predict` and resumed runs.
/// A partial last line of `metrics.jsonl` is removed.
#[test]
fn the_checkpoint_before_a_damaged_one_is_used() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run");
    copy(untouched(), &run);
    let newest = Checkpoints::of(&run).path(STEPS);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let mut record = fs::OpenOptions::new().append(true).open(run.join("metrics.jsonl")).unwrap();
    record.write_all(br#"{"step":43,"loss":{"tot"#).unwrap();

    let (network, seen) = (run.to_str().unwrap(), place.path().join("seen"));
    let image = data().join("JPEGImages/val_0000.jpg");
    let commands = [
        tagseg(&["eval", network, "--data", data().to_str().unwrap()]),
        tagseg(&["predict", network, "--out", seen.to_str().unwrap(), image.to_str().unwrap()]),
        resume(&run),
    ];
    for mut command in commands {
        let output = command.output().unwrap();
        let text = errors(&output);
        assert!(output.status.success(), "{text}");
        for part in ["step_0000040.safetensors: is damaged: its checksum", "using step_0000039.safetensors instead"] {
            assert!(text.contains(part), "`{part}` is missing in {text}");
        }
    }
    assert_untouched(&run);
    assert!(newest.with_extension("damaged").is_file(), "the damaged file is kept");
}

/// Protects: `latest` and `best` can be given like a checkpoint.
#[test]
fn pointers_are_followed() {
    for pointer in ["latest", "best"] {
        let network = untouched().join("checkpoints").join(pointer);
        let output = tagseg(&["eval", network.to_str().unwrap(), "--data", data().to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }
}
