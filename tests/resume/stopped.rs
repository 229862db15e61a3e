//! Ctrl-C, SIGTERM, SIGHUP, and a second process in the same run folder.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tagseg::run::weights::{Checkpoint, Checkpoints};

use crate::place::{STEPS, Training, assert_untouched, copy, data, errors, resume, tagseg, train, untouched};

/// Protects: Ctrl-C and SIGTERM save a checkpoint and print how to resume. No other process can train in the folder at
/// the same time. The resumed run equals an uninterrupted run.
#[test]
fn a_run_can_be_stopped_and_resumed() {
    untouched();
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("my run");
    let training = Training::start(train(&run));
    assert!(training.wait_for(&format!("step 6/{STEPS}")));

    let process = format!("process {}", training.child.id());
    for mut second in [resume(&run), train(&run)] {
        if second.get_args().any(|argument| argument == "--out") {
            second.arg("--overwrite");
        }
        let output = second.output().unwrap();
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("another process is training here") && text.contains(&process), "{text}");
    }

    let mut steps = Vec::new();
    let mut training = training;
    for signal in ["INT", "TERM"] {
        training.signal(signal);
        let (code, text) = training.end();
        assert_eq!(code, Some(130), "{text}");
        let last = text.lines().last().unwrap();
        let step = Checkpoint::open(&run).unwrap().checkpoint.step;
        let command = format!("stopped at step {step}; resume with `tagseg train --resume '{}'`", run.display());
        assert_eq!(last, command);
        steps.push(step);
        training = Training::start(resume(&run));
        assert!(training.wait_for(&format!("resumed at step {step} of {STEPS}")));
        assert!(training.wait_for_steps());
    }
    assert!(steps[0] >= 6 && steps[1] > steps[0] && steps[1] < STEPS, "{steps:?}");
    let (code, text) = training.end();
    assert_eq!(code, Some(0), "{text}");
    assert_untouched(&run);
}

/// Protects: a run whose terminal is closed saves, although nobody reads what it prints.
#[test]
fn a_closed_terminal_saves() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run");
    let mut command = train(&run);
    // These tests may run under `nohup` themselves, which a child would inherit.
    // SAFETY: between fork and exec, only `signal` is called, which is safe there.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("step 6/")));
    drop(lines);
    let hang_up = || Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    // A terminal and its shell may both send the signal.
    assert!(hang_up().success() && hang_up().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let step = Checkpoint::open(&run).unwrap().checkpoint.step;
    assert!((6..STEPS).contains(&step), "{step}");
    assert!(resume(&run).output().unwrap().status.success());
    assert_untouched(&run);
}

/// Protects: under `nohup`, a closed terminal changes nothing.
#[test]
fn nohup_keeps_a_run_alive() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run");
    let (command, mut ignoring) = (train(&run), Command::new("sh"));
    ignoring.args(["-c", r#"trap '' HUP; exec "$@""#, "sh"]).arg(command.get_program()).args(command.get_args());
    let training = Training::start(ignoring);
    assert!(training.wait_for(&format!("step 6/{STEPS}")));
    training.signal("HUP");
    let (code, text) = training.end();
    assert_eq!(code, Some(0), "{text}");
    assert_untouched(&run);
}

/// Protects: resuming a finished run reports that it is finished and how to train further. It changes nothing, needs no
/// data set, and completes what a process that was killed at the very end did not write.
#[test]
fn a_finished_run_is_reported() {
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run");
    copy(untouched(), &run);
    fs::remove_file(run.join("checkpoints/best")).unwrap();
    let output = resume(&run).args(["--data", "nowhere"]).output().unwrap();
    let text = errors(&output);
    assert!(output.status.success() && text.lines().count() == 1, "{text}");
    let network = Checkpoints::of(&run).path(STEPS).display().to_string();
    let again = format!("`tagseg train --weights {}`", run.display());
    for part in ["run: finished at step 40", &network, &again, "metrics.jsonl"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert_untouched(&run);

    let longer = place.path().join("longer");
    let [data, longer, run] = [data(), &longer, &run].map(|path| path.to_str().unwrap());
    let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", "4"];
    let start = ["train", "--weights", run, "--data", data, "--out", longer];
    let output = tagseg(&[&start[..], &sizes].concat()).output().unwrap();
    assert!(output.status.success(), "the printed command works: {}", errors(&output));
}

/// Protects: a second Ctrl-C stops immediately, and the run can still be resumed.
#[test]
fn a_second_signal_stops_immediately() {
    untouched();
    let place = tempfile::tempdir().unwrap();
    let run = place.path().join("run");
    let mut command = train(&run);
    let mut impatient = 0;
    // The first signal may arrive between two steps; the run then ends before the second.
    while impatient < 5 {
        let training = Training::start(command);
        assert!(training.wait_for_steps());
        sleep(Duration::from_millis(100));
        training.signal("INT");
        sleep(Duration::from_millis(5));
        training.signal("INT");
        let (code, text) = training.end();
        assert_eq!(code, Some(130), "{text}");
        if !text.contains("stopped at step") {
            break;
        }
        impatient += 1;
        command = resume(&run);
    }
    assert!(impatient < 5, "every run ended before the second signal");
    let mut training = Training::start(resume(&run));
    assert!(training.wait_for("resumed at step") && training.wait_for_steps());
    training.child.kill().unwrap();
}
