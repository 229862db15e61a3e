//! A data set, runs in a temporary folder, and how they are started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tagseg::config::Config;
use tagseg::data::shapes::{ShapesOptions, generate};
use tagseg::run::weights::{Checkpoint, Checkpoints};

/// Steps of a run, through all phases of BMP.
pub const STEPS: usize = 6;

const SETTINGS: [&str; 13] = [
    "batch.global=4",
    "train.crop=64",
    "train.log_every=1",
    "train.eval_every=6",
    "train.save_every=3",
    "train.keep=0",
    "schedule.n_c2s=0",
    "schedule.n_s2c=1",
    "schedule.n_bsp=3",
    "ms.scales=[1, 1.5]",
    "loss.replica_size=1",
    // Logits of a network that has hardly been trained rarely pass the released threshold.
    "sigma_s=0.0",
    "train.iters=6",
];

/// Settings of a run of many steps that take little time.
pub const LONG_RUN: [&str; 8] = [
    "batch.global=2",
    "train.crop=32",
    "ms.scales=[1]",
    "train.iters=200",
    "train.eval_every=200",
    "train.save_every=20",
    "train.log_every=20",
    "schedule.n_bsp=20",
];

/// A folder with a data set and runs.
pub struct Place(PathBuf);

impl Place {
    /// The folder of all tests, where two ranks have trained the run `whole` without further settings.
    pub fn of_all() -> &'static Self {
        static PLACE: OnceLock<Place> = OnceLock::new();
        PLACE.get_or_init(|| {
            let place = Place::that_exists();
            let _ = std::fs::remove_dir_all(&place.0);
            let shapes = ShapesOptions { train: 16, val: 37, size: 64, ..ShapesOptions::default() };
            generate(&place.path("data"), &shapes).unwrap();
            succeed(ranks(2, &place.train("whole", &[])));
            place
        })
    }

    /// The folder of all tests, which another process has made.
    pub fn that_exists() -> Self {
        Place(Path::new(env!("CARGO_TARGET_TMPDIR")).join("ranks"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Trains the run `long` by two ranks, 200 small steps without a pause. The memory in kilobytes that each of them held
    /// after 60 steps and after 160.
    pub fn long(&self) -> &'static [[usize; 2]] {
        static LONG: OnceLock<Vec<[usize; 2]>> = OnceLock::new();
        LONG.get_or_init(|| {
            let job = ranks(2, &self.train("long", &LONG_RUN)).stderr(Stdio::piped()).spawn().unwrap();
            let run = self.path("long");
            // The median within a second: while a rank saves, it takes more or less.
            let held = |step: usize| {
                wait_for(&run, step);
                let numbers = processes(&run.display().to_string());
                let mut moments = vec![Vec::new(); numbers.len()];
                for _ in 0..41 {
                    sleep(Duration::from_millis(25));
                    moments.iter_mut().zip(&numbers).for_each(|(own, number)| own.push(resident(*number)));
                }
                let median = |mut own: Vec<usize>| *own.select_nth_unstable(20).1;
                moments.into_iter().map(median).collect::<Vec<_>>()
            };
            let (early, late) = (held(60), held(160));
            let output = job.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            early.into_iter().zip(late).map(|(early, late)| [early, late]).collect()
        })
    }

    /// A copy of a run as it was when its newest checkpoint was that of `step`.
    pub fn copy(&self, run: &str, name: &str, step: usize) -> Checkpoints {
        let _ = std::fs::remove_dir_all(self.path(name));
        assert!(Command::new("cp").arg("-r").args([self.path(run), self.path(name)]).status().unwrap().success());
        let checkpoints = Checkpoints::of(&self.path(name));
        for later in (step + 1..=STEPS).filter(|&later| checkpoints.path(later).exists()) {
            std::fs::remove_file(checkpoints.path(later)).unwrap();
        }
        assert_eq!(checkpoints.newest().unwrap().checkpoint.step, step);
        checkpoints
    }

    /// The configuration of a training run without further settings.
    pub fn config(&self) -> Config {
        let mut config = Config::preset("nano").unwrap();
        SETTINGS.iter().for_each(|setting| config.set(setting).unwrap());
        config
    }

    /// The arguments of a training run.
    pub fn train(&self, out: &str, settings: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = ["train", "--preset", "nano", "--overwrite"].map(String::from).into();
        for (flag, path) in [("--data", "data"), ("--out", out)] {
            args.extend([flag.to_owned(), self.path(path).display().to_string()]);
        }
        for setting in SETTINGS.iter().chain(settings) {
            args.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        args
    }

    /// The arguments that resume a run.
    pub fn resume(&self, run: &str) -> Vec<String> {
        vec!["train".to_owned(), "--resume".to_owned(), self.path(run).display().to_string()]
    }

    /// All states of the newest checkpoint, and the lines of the record without times.
    pub fn ends(&self, run: &str) -> (BTreeMap<String, Vec<u32>>, Vec<Value>) {
        ends(&self.path(run))
    }
}

fn ends(run: &Path) -> (BTreeMap<String, Vec<u32>>, Vec<Value>) {
    let found = Checkpoint::open(run).unwrap();
    let bytes = std::fs::read(&found.path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bits = |data: &[u8]| data.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
    let states = tensors.tensors().into_iter().map(|(name, view)| (name, bits(view.data()))).collect();
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let without_times = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("images_per_second");
        line
    };
    (states, lines.lines().map(without_times).collect())
}

/// The program in one process.
pub fn alone(args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagseg"));
    command.args(args).env("LP_NUM_THREADS", "1");
    command
}

/// The processes of the program whose command line has `text`.
pub fn processes(text: &str) -> Vec<u32> {
    let folders = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = folders.filter_map(|name| name.parse().ok());
    let program = |number: &u32| {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(text) && line.starts_with(env!("CARGO_BIN_EXE_tagseg"))
    };
    numbers.filter(program).collect()
}

/// The memory that a process holds, in kilobytes.
fn resident(number: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until step `step` is saved.
pub fn wait_for(run: &Path, step: usize) {
    let begun = Instant::now();
    while !Checkpoints::of(run).path(step).is_file() {
        assert!(begun.elapsed() < Duration::from_secs(300), "step {step} of {} is never saved", run.display());
        sleep(Duration::from_millis(20));
    }
}

/// The launcher `mpirun`, or the one that the variable `MPIRUN` names, also for root and on fewer cores than processes.
pub fn launcher() -> Command {
    prepared(Command::new(launcher_name()))
}

fn launcher_name() -> String {
    std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".to_owned())
}

/// Whether the launcher is that of Open MPI, and not of MPICH.
pub fn is_open_mpi() -> bool {
    let version = Command::new(launcher_name()).arg("--version").output().expect("scripts/mpi.sh installs mpirun");
    String::from_utf8_lossy(&version.stdout).contains("Open MPI")
}

/// The launcher where there is no network but the machine's own loopback.
pub fn without_network() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    command.arg(launcher_name());
    prepared(command)
}

fn prepared(mut command: Command) -> Command {
    command.envs(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|name| (name, "1")));
    command.env("LP_NUM_THREADS", "1").stdin(Stdio::null());
    if is_open_mpi() {
        command.args(["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]);
        command.args(["--mca", "btl_vader_single_copy_mechanism", "none"]);
    }
    command
}

/// An ignored test of this program in several processes.
pub fn test_in_ranks(ranks: usize, test: &str) -> Command {
    let mut command = launcher();
    command.args(["-n", &ranks.to_string()]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// The program in several processes.
pub fn ranks(ranks: usize, args: &[String]) -> Command {
    let mut command = launcher();
    command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_tagseg")]).args(args);
    command
}

/// Two ranks with different arguments.
pub fn two(first: &[String], second: &[String]) -> Command {
    let mut command = launcher();
    command.args(["-n", "1", env!("CARGO_BIN_EXE_tagseg")]).args(first).arg(":");
    command.args(["-n", "1", env!("CARGO_BIN_EXE_tagseg")]).args(second);
    command
}

/// Runs to the end and returns standard error.
pub fn succeed(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}

/// Runs to an error and returns standard error.
pub fn fail(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert!(!status.success(), "{command:?} did not fail\n{text}");
    text
}
