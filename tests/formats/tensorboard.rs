//! Event files, read by TensorBoard.

use crate::place::{Place, read_with, tagseg};

/// Protects: TensorBoard reads the losses, rates, scores and pictures of the record, each once, also after a run was
/// stopped and resumed.
#[test]
fn tensorboard_reads_the_record() {
    let place = Place::new();
    let (data, run) = (place.arg("data"), place.arg("run"));
    tagseg(&["shapes", "--out", &data, "--train", "6", "--val", "2", "--size", "64"]);
    let sizes = ["--preset", "nano", "--steps", "6", "--batch", "2", "--crop", "64"];
    let settings = ["train.tensorboard=true", "train.log_every=1", "train.eval_every=2", "train.keep=0"];
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    tagseg(&[&["train", "--data", &data, "--out", &run], &sizes[..], &settings].concat());
    assert!(read_with("event_files.py", &[&run]).contains("6 steps, 3 evaluations"));
    std::fs::remove_file(place.path("run/checkpoints/step_0000006.safetensors")).unwrap();
    tagseg(&["train", "--resume", &run]);
    assert!(read_with("event_files.py", &[&run]).contains("6 steps, 3 evaluations"));
}
