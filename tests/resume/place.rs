//! Runs in folders of their own, the processes that train them, and the run that nothing ever happened to.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tagseg::formats::sealed::Tensors;
use tagseg::run::weights::{Checkpoint, Shelf};

/// Steps of every run here.
pub const STEPS: usize = 40;

/// A process of the program that was built with these tests.
pub fn tagseg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagseg"));
    command.args(args);
    command
}

/// Where this binary keeps its data and the untouched run.
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

/// Makes a data set.
pub fn generate(data: &Path, train: &str) {
    let size = ["--train", train, "--val", "2", "--size", "64"];
    let made = tagseg(&["shapes", "--out", data.to_str().unwrap()]).args(size).output().unwrap();
    assert!(made.status.success(), "{}", errors(&made));
}

/// The run that nothing ever happens to; tests may read it, and copy it.
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

/// A new run into a folder: a checkpoint at every step, two evaluations, a window of the record that fits neither.
pub fn train(run: &Path) -> Command {
    let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", &STEPS.to_string()];
    let mut command = tagseg(&["train", "--data", data().to_str().unwrap(), "--out", run.to_str().unwrap()]);
    command.args(sizes);
    for assignment in ["train.save_every=1", "train.eval_every=20", "train.log_every=3"] {
        command.args(["--set", assignment]);
    }
    command
}

/// A run that goes on.
pub fn resume(run: &Path) -> Command {
    tagseg(&["train", "--resume", run.to_str().unwrap()])
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the untouched run as it was one step before its end, with all that the last step wrote to the record.
pub fn nearly_done(place: &Path) -> PathBuf {
    nearly_done_of(untouched(), place)
}

/// The same of any run.
pub fn nearly_done_of(whole: &Path, place: &Path) -> PathBuf {
    let run = place.join("run");
    copy(whole, &run);
    fs::remove_file(Shelf::of(&run).path(STEPS)).unwrap();
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

/// Asserts that a run ended as if nothing had ever happened.
pub fn assert_untouched(run: &Path) {
    assert_same(run, untouched());
}

/// Asserts that a run ended as another: weights, statistics, moments and recent values to the last bit, the record line by
/// line, the pictures, the best checkpoint, and nothing half-written.
pub fn assert_same(run: &Path, other: &Path) {
    let [ours, theirs] = [run, other].map(|run| Checkpoint::open(run).unwrap().checkpoint);
    assert_eq!(ours.step, STEPS);
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
    assert_eq!(partial(run), 0, "half-written files");
}

/// The weights and statistics at the end of a run, by their bits.
pub fn weights(run: &Path) -> Vec<String> {
    bits(&Checkpoint::open(run).unwrap().checkpoint.tensors)
}

/// Name, shape and bits of every tensor, as a list of lines that differ where the tensors do.
fn bits(tensors: &Tensors) -> Vec<String> {
    let line = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f32>))| {
        let hash = values.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, value| {
            (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0000_0100_0000_01B3)
        });
        format!("{name} {shape:?} {hash:016x}")
    };
    tensors.iter().map(line).collect()
}

/// The lines of a record, without what a clock says.
fn record(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.ends_with('\n'), "the last line is whole");
    let untimed = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("images_per_second");
        value.to_string()
    };
    text.lines().map(untimed).collect()
}

/// Name and content of every file of a folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect()
}

/// Number of files that are being written, or were when a process was killed.
pub fn partial(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "partial")).count()
}

/// A process that trains, with the lines that it prints on standard error as they come.
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
                // A test may have heard enough.
                let _ = sender.send(line);
            }
        });
        Training { child, lines, seen }
    }

    /// Waits for a line that contains `part`; `false` if the process ends before.
    pub fn wait_for(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }

    /// Waits until the steps begin.
    pub fn wait_for_steps(&self) -> bool {
        self.wait_for("dispatches a step")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; gives exit code and everything printed.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        while self.lines.recv_timeout(Duration::from_secs(10)).is_ok() {}
        (status.code(), self.seen.lock().unwrap().clone())
    }
}
