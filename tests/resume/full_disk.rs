//! A disk without space for the next checkpoint.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tagseg::run::weights::Checkpoint;

use crate::place::{assert_untouched, errors, nearly_done, partial, resume};

/// Asserts that a save failed with an error and damaged nothing; then resumes with enough space.
fn assert_survived(run: &Path, output: &Output, cause: &str) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let last = text.lines().last().unwrap();
    let command = "resume with `tagseg train --resume";
    for part in ["error: ", "step_0000040.safetensors: ", cause, "step 39 is safe in", "step_0000039", command] {
        assert!(last.contains(part), "`{part}` is missing in: {last}");
    }
    assert_eq!(partial(run), 0, "the partial file is removed");
    assert_eq!(Checkpoint::open(run).unwrap().checkpoint.step, 39);
    let output = resume(run).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    assert_untouched(run);
}

/// Protects: if a file cannot grow, the previous checkpoint stays.
#[test]
fn a_file_that_may_not_grow() {
    let place = tempfile::tempdir().unwrap();
    let run = nearly_done(place.path());
    // Blocks of 512 or 1024 bytes: less than a checkpoint either way. SIGXFSZ is ignored to get an error instead.
    let limited = r#"trap '' XFSZ; ulimit -f 4096; exec "$@""#;
    let mut command = Command::new("sh");
    let trained = resume(&run);
    command.args(["-c", limited, "sh"]).arg(trained.get_program()).args(trained.get_args());
    assert_survived(&run, &command.output().unwrap(), "File too large");
}

/// Protects: the same on a full disk, if this process may mount one (a tmpfs in a namespace).
#[test]
fn a_full_disk() {
    let place = tempfile::tempdir().unwrap();
    let run = nearly_done(place.path());
    let (disk, back) = (place.path().join("disk"), place.path().join("back"));
    fs::create_dir(&disk).unwrap();
    let cramped = r#"
        mount -t tmpfs -o size=$(($(du -sk "$1" | cut -f1) + 2048))k none "$2" || exit 77
        cp -r "$1" "$2/run" && "$4" train --resume "$2/run"
        code=$?
        cp -r "$2/run" "$3" || exit 78
        exit $code"#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", cramped, "sh"]).args([&run, &disk, &back]).arg(env!("CARGO_BIN_EXE_tagseg"));
    match command.output() {
        Ok(output) if output.status.code() == Some(2) && back.is_dir() => {
            println!("on a tmpfs");
            assert_survived(&back, &output, "No space left on device");
        }
        // Without permission to mount, only the test above runs.
        Ok(output) if output.status.code() == Some(77) || errors(&output).starts_with("unshare") => {}
        Err(_) => {}
        Ok(output) => panic!("{:?}: {}", output.status, errors(&output)),
    }
}
