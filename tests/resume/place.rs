//! Run folders, training processes, and the uninterrupted run that they are compared with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tagseg::formats::sealed::Tensors;
use tagseg::run::weights::{Checkpoint, Checkpoints};

/// Steps of every run here.
pub const STEPS: usize = 40;

/// The program that was built with these tests.
pub fn tagseg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagseg"));
    command.args(args);
    command
}

/// Folder of the data set and the untouched run.
fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("resume")
}

/// The data set of all runs here.
pub fn data() -> &'static Path {
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| {
        if root().exists() {
            fs::remove_dir_all(root()).unwrap();
        }
        let data = root().join("data");
        generate(&data, "8");
        data
    })
}

/// Generates a data set.
pub fn generate(data: &Path, train: &str) {
    let size = ["--train", train, "--val", "2", "--size", "64"];
    let made = tagseg(&["shapes", "--out", data.to_str().unwrap()]).args(size).output().unwrap();
    assert!(made.status.success(), "{}", errors(&made));
}

/// The uninterrupted run; tests may read and copy it.
pub fn untouched() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        data();
        let run = root().join("run");
        let output = train(&run).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        run
    })
}

/// A new run: a checkpoint at every step, two evaluations, and a logging interval that divides neither.
pub fn train(run: &Path) -> Command {
    let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", &STEPS.to_string()];
    let mut command = tagseg(&["train", "--data", data().to_str().unwrap(), "--out", run.to_str().unwrap()]);
    command.args(sizes);
    for assignment in ["train.save_every=1", "train.eval_every=20", "train.log_every=3"] {
        command.args(["--set", assignment]);
    }
    command
}

/// Resumes a run.
pub fn resume(run: &Path) -> Command {
    tagseg(&["train", "--resume", run.to_str().unwrap()])
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the untouched run without its last checkpoint; `metrics.jsonl` still contains the last step.
pub fn nearly_done(place: &Path) -> PathBuf {
    nearly_done_of(untouched(), place)
}

/// The same for any run.
pub fn nearly_done_of(whole: &Path, place: &Path) -> PathBuf {
    let run = place.join("run");
    copy(whole, &run);
    fs::remove_file(Checkpoints::of(&run).path(STEPS)).unwrap();
    run
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Asserts that a run ended like the untouched run.
pub fn assert_untouched(run: &Path) {
    assert_eq!(Checkpoint::open(run).unwrap().checkpoint.step, STEPS);
    assert_same(run, untouched());
}

/// Asserts that two runs ended alike: bit-identical weights, statistics, moments and recent values, the same metrics,
/// pictures and best checkpoint, and no partial files.
pub fn assert_same(run: &Path, other: &Path) {
    let [ours, theirs] = [run, other].map(|run| Checkpoint::open(run).unwrap().checkpoint);
    assert_eq!(ours.step, theirs.step);
    assert_eq!(bits(&ours.tensors), bits(&theirs.tensors), "weights and statistics");
    let [our_training, their_training] = [&ours, &theirs].map(|it| it.training.as_ref().unwrap());
    assert_eq!(bits(&our_training.states), bits(&their_training.states), "moments and recent values");
    assert!(our_training.states.keys().any(|name| name.starts_with("adamw.second.")));
    assert_eq!(our_training.run.best, their_training.run.best);
    assert_eq!(record(run), record(other));
    assert_eq!(files(&run.join("pictures")), files(&other.join("pictures")));
    for pointer in ["latest", "best"] {
        let [ours, theirs] = [run, other].map(|run| fs::read(run.join("checkpoints").join(pointer)).unwrap());
        assert_eq!(ours, theirs, "{pointer}");
    }
    assert_eq!(partial(run), 0, "partial files");
}

/// Bits of the weights and statistics at the end of a run.
pub fn weights(run: &Path) -> Vec<String> {
    bits(&Checkpoint::open(run).unwrap().checkpoint.tensors)
}

/// Name, shape and hash of every tensor, one per line.
fn bits(tensors: &Tensors) -> Vec<String> {
    let line = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f32>))| {
        let hash = values.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, value| {
            (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0000_0100_0000_01B3)
        });
        format!("{name} {shape:?} {hash:016x}")
    };
    tensors.iter().map(line).collect()
}

/// The lines of `metrics.jsonl` without times.
fn record(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.ends_with('\n'), "the last line is complete");
    let untimed = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("images_per_second");
        value.to_string()
    };
    text.lines().map(untimed).collect()
}

/// Name and content of every file in a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect()
}

/// Number of partially written files.
pub fn partial(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "partial")).count()
}

/// A training process and the lines that it prints on standard error.
pub struct Training {
    pub child: Child,
    lines: Receiver<String>,
    seen: Arc<Mutex<String>>,
}

impl Training {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        let seen = Arc::<Mutex<String>>::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
                // The test may have stopped listening.
                let _ = sender.send(line);
            }
        });
        Training { child, lines, seen }
    }

    /// Waits for a line that contains `part`; returns `false` if the process ends first.
    pub fn wait_for(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }

    /// Waits until the steps begin.
    pub fn wait_for_steps(&self) -> bool {
        self.wait_for("dispatches per step")
    }

    /// Sends the named signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; returns the exit code and the printed text.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        while self.lines.recv_timeout(Duration::from_secs(10)).is_ok() {}
        (status.code(), self.seen.lock().unwrap().clone())
    }
}
