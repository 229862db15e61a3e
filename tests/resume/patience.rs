//! `train.patience`: a run whose score no longer rises ends, wherever it was interrupted.

use std::fs;
use std::path::Path;

use tagseg::run::weights::Checkpoints;

use crate::place::{STEPS, assert_same, copy, data, errors, resume, tagseg};

/// Steps and scores of the evaluations in a run's record.
fn scores(run: &Path) -> Vec<(usize, f64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let score = |line: serde_json::Value| {
        Some((line["step"].as_u64()? as usize, line.get("eval")?["seg_miou"].as_f64().unwrap_or(0.0)))
    };
    lines.filter_map(score).collect()
}

/// Protects: the run ends two evaluations after its best one, names it in the last line, and is finished then; a run that
/// was interrupted in between keeps the count and ends the same.
#[test]
fn a_run_without_progress_ends() {
    let place = tempfile::tempdir().unwrap();
    let whole = place.path().join("whole");
    let sizes = ["--preset", "nano", "--batch", "2", "--crop", "64", "--steps", &STEPS.to_string()];
    let mut command = tagseg(&["train", "--data", data().to_str().unwrap(), "--out", whole.to_str().unwrap()]);
    command.args(sizes);
    // At a rate of 0 nothing is learned.
    for assignment in [
        "train.save_every=1",
        "train.eval_every=2",
        "train.patience=2",
        "train.keep=0",
        "optim.lr=0",
        "train.log_every=3",
    ] {
        command.args(["--set", assignment]);
    }
    let output = command.output().unwrap();
    let text = errors(&output);
    assert!(output.status.success(), "{text}");
    let scores = scores(&whole);
    let (mut best, mut end) = ((0, f64::NEG_INFINITY), None);
    for (step, score) in &scores {
        if *score > best.1 {
            best = (*step, *score);
        }
        if end.is_none() && (step - best.0) / 2 >= 2 {
            end = Some(*step);
        }
    }
    let end = end.unwrap_or_else(|| panic!("it never ended: {scores:?}"));
    assert!(end < STEPS && scores.last().unwrap().0 == end, "{scores:?}");
    let last = text.lines().last().unwrap();
    let best = Checkpoints::of(&whole).path(best.0);
    assert!(last.contains(&format!("ended at step {end}")) && last.contains(best.to_str().unwrap()), "{last}");
    assert!(best.is_file());

    let output = resume(&whole).output().unwrap();
    assert!(output.status.success() && errors(&output).lines().last() == Some(last), "{}", errors(&output));

    let part = place.path().join("part");
    copy(&whole, &part);
    for step in end - 1..=end {
        fs::remove_file(Checkpoints::of(&part).path(step)).unwrap();
    }
    let output = resume(&part).output().unwrap();
    assert!(
        output.status.success() && errors(&output).contains(&format!("ended at step {end}")),
        "{}",
        errors(&output)
    );
    assert_same(&part, &whole);
}
