//! The readers, and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs one of the scripts beside this file with the readers of most formats. It must succeed; returns what it prints.
pub fn read_with(script: &str, args: &[&str]) -> String {
    run_in("format-readers", script, args)
}

/// Runs one of the scripts beside this file with Transformers. It must succeed; returns what it prints.
pub fn run_with_transformers(script: &str, args: &[&str]) -> String {
    run_in("transformers", script, args)
}

/// Runs a script in the virtual environment `name`, which `scripts/NAME.sh` makes.
fn run_in(name: &str, script: &str, args: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = root.join("target").join(name);
    let python = environment.join("bin/python");
    assert!(
        python.is_file() && environment.join("packages").is_file(),
        "the readers are not installed; run scripts/{name}.sh"
    );
    let output = Command::new(python).arg(root.join("tests/formats").join(script)).args(args).output().unwrap();
    finished(&output, script)
}

/// Runs the program, which must succeed, and returns what it prints.
pub fn tagseg(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tagseg")).args(args).output().unwrap();
    finished(&output, &format!("tagseg {args:?}"))
}

fn finished(output: &Output, what: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A temporary folder.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path in this place as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}
