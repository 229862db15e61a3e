//! What stops a run: a step that is not finite, which is saved for `tagseg replay`, and several processes without MPI.

use crate::place::{Place, assert_refused, errors, tagseg};

/// Protects: whatever launcher starts several processes, a program without MPI says so and writes nothing, and a
/// command that does not divide its work says that. One process of a launcher is a process like any other.
#[test]
fn several_processes_without_mpi_are_refused() {
    let place = Place::new();
    let out = place.arg("run");
    for size in ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] {
        if cfg!(not(feature = "mpi")) {
            let mut train = tagseg(&["train", "--data", &place.data(), "--out", &out]);
            let reason = ["started 2 processes", "built without MPI", "--features mpi"];
            assert_refused(&train.env(size, "2").output().unwrap(), &reason);
        }
        let mut eval = tagseg(&["eval", &out, "--data", &place.data()]);
        assert_refused(&eval.env(size, "2").output().unwrap(), &["only `tagseg train` divides its work"]);
        let mut one = tagseg(&["eval", &out, "--data", &place.data()]);
        assert_refused(&one.env(size, "1").output().unwrap(), &[&out]);
    }
    assert!(!place.path("run").exists());
}

/// Protects: a step that is not finite stops the run before a checkpoint of broken weights is written. The error names
/// the op, the step and the images. `replay` repeats the step on any device.
#[test]
fn a_step_that_is_not_finite_can_be_repeated() {
    let place = Place::new();
    // Weights of this size overflow in the next forward pass.
    let wild = ["--set", "optim.lr=1e30", "--set", "optim.warmup_iters=0", "--steps", "8"];
    let output = place.train(&wild).output().unwrap();
    let text = errors(&output);
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["error: ", "is not finite, first in", "its images are train_", "lower optim.lr", "tagseg replay"] {
        assert!(last.contains(part), "`{part}` is missing in: {last}");
    }
    let kept = place.path("run/checkpoints").read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(kept.filter(|name| name != "latest").collect::<Vec<_>>(), ["step_0000000.safetensors"]);

    for device in ["auto", "reference"] {
        let output = tagseg(&["replay", &place.arg("run/failure"), "--device", device]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // A value that overflows in f32 may be finite in f64, so only the device that failed must fail again.
        assert!(device == "reference" || output.status.code() == Some(1), "{printed}{}", errors(&output));
        assert!(printed.starts_with("step ") && printed.contains("train_"), "{printed}");
    }
    // Flip one bit of the saved step: the checksum must detect it.
    let kept = place.path("run/failure/step.safetensors");
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let output = tagseg(&["replay", &place.arg("run/failure")]).output().unwrap();
    assert_refused(&output, &["step.safetensors", "is damaged: its checksum", "failure"]);
    let output = tagseg(&["replay", &place.data()]).output().unwrap();
    assert_refused(&output, &["step.safetensors", "failure"]);
}
