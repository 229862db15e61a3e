//! Processes of the program, and temporary folders for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tagseg::data::palette::{read_index_png, write_index_png};

/// The program that was built with these tests.
pub fn tagseg(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagseg"));
    command.args(args);
    command
}

/// Runs the program, which must succeed, and returns its standard output.
pub fn succeed(args: &[&str]) -> String {
    let output = tagseg(args).output().unwrap();
    assert!(output.status.success(), "tagseg {args:?}\n{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts that a process refused its input: exit code 2, nothing on standard output, and one line on standard error
/// that contains all of `parts`.
pub fn assert_refused(output: &Output, parts: &[&str]) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(text.starts_with("error: ") && text.ends_with('\n') && text.lines().count() == 1, "one line:\n{text}");
    assert!(text.contains("; "), "a cause and a remedy: {text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

/// A small generated data set in a temporary folder, which also receives the output of commands.
pub struct Place(tempfile::TempDir);

impl Place {
    /// Six training images and two validation images of 32×32 pixels.
    pub fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        succeed(&["shapes", "--out", &place.data(), "--train", "6", "--val", "2", "--size", "32"]);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path in this place as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The data set's folder.
    pub fn data(&self) -> String {
        self.arg("data")
    }

    /// Replaces a file of the data set.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path("data").join(name), content).unwrap();
    }

    /// Rewrites a text of the data set.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("data").join(name)).unwrap();
        assert!(text.contains(from), "{name} holds `{from}`");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Sets the first pixel of a mask.
    pub fn spoil_mask(&self, id: &str, value: u8) {
        let path = self.path("data/SegmentationClassAug").join(format!("{id}.png"));
        let mut mask = read_index_png(&path).unwrap();
        mask.data[0] = value;
        write_index_png(&path, &mask).unwrap();
    }

    /// The smallest run on this data, into a new folder `run`. `more` overrides its options.
    pub fn train(&self, more: &[&str]) -> Command {
        self.train_into("run", more)
    }

    /// The smallest run on this data.
    pub fn train_into(&self, run: &str, more: &[&str]) -> Command {
        let mut command = tagseg(&["train", "--preset", "nano", "--data", &self.data(), "--out", &self.arg(run)]);
        for assignment in ["train.iters=2", "batch.global=2", "train.crop=64"] {
            command.args(["--set", assignment]);
        }
        command.args(more);
        command
    }

    /// `tagseg eval` on this data.
    pub fn eval(&self, network: &Path, more: &[&str]) -> Command {
        let mut command = tagseg(&["eval", network.to_str().unwrap(), "--data", &self.data()]);
        command.args(more);
        command
    }

    /// Runs a command that must refuse its input, print all of `parts`, and change no file in this place.
    pub fn assert_refuses(&self, command: &mut Command, parts: &[&str]) {
        let before = listing(self.0.path());
        let output = command.output().unwrap();
        assert_refused(&output, parts);
        let after = listing(self.0.path());
        assert!(before == after, "files changed: {:?}", after.keys().collect::<Vec<_>>());
    }
}

/// Every file in a folder tree with its content, and every folder.
fn listing(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let content = path.is_file().then(|| fs::read(&path).unwrap());
            if content.is_none() {
                folders.push(path.clone());
            }
            found.insert(path, content);
        }
    }
    found
}

/// The folder of a trained run that all tests share; its data set is in `data` beside it.
pub fn trained() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        let (data, run) = (root.join("data"), root.join("run"));
        let (data, folder) = (data.to_str().unwrap(), run.to_str().unwrap());
        succeed(&["shapes", "--out", data, "--train", "12", "--val", "6", "--size", "64"]);
        let sizes = ["--preset", "nano", "--steps", "6", "--batch", "2", "--crop", "64"];
        let record = ["--set", "train.log_every=2", "--set", "train.eval_every=2", "--set", "train.keep=2"];
        succeed(&[&["train", "--data", data, "--out", folder, "--seed", "7"], &sizes[..], &record[..]].concat());
        run
    })
}

/// The checkpoint of step 6 of [`trained`].
pub fn checkpoint() -> PathBuf {
    trained().join("checkpoints/step_0000006.safetensors")
}
