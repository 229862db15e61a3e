//! SIGKILL at any moment.

use std::env;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagseg::run::weights::{Checkpoint, Checkpoints};

use crate::place::{Training, assert_untouched, partial, resume, train};

const KILLS: usize = 20;

/// Protects: a run that is killed repeatedly, while it starts, steps, scores and saves, loses only the steps since the
/// last checkpoint, and ends with the same weights, metrics and pictures as an uninterrupted run.
///
/// The times of the kills are random; `TAGSEG_KILL_SEED` repeats those of a failed test.
#[test]
fn a_run_that_is_killed_twenty_times_ends_the_same() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let seed = env::var("TAGSEG_KILL_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
    println!("TAGSEG_KILL_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let place = tempfile::tempdir().unwrap();
    let (mut kills, mut while_saving, mut runs, mut saved) = (0, 0, 0, 0);
    let mut going = true;
    while going {
        let run = place.path().join(format!("run_{runs}"));
        let newest = Checkpoints::of(&run).newest().ok().map(|found| found.checkpoint.step);
        assert!(newest.unwrap_or(0) >= saved, "step {saved} was saved, {newest:?} is left");
        let mut command = if newest.is_some() { resume(&run) } else { train(&run) };
        if newest.is_none() {
            command.arg("--overwrite");
        }
        let mut training = Training::start(command);
        if kills < KILLS {
            let mut within = |limit: u64| random.random_range(0..limit);
            // During start, during a save, or some steps later at any time in a step.
            match kills % 4 {
                0 => sleep(Duration::from_millis(within(1500))),
                1 => {
                    wait_until(&mut training, || partial(&run) > 0);
                    // Often immediately, so that some kills hit a save even on a fast disk.
                    sleep(Duration::from_micros(if kills % 8 == 1 { 0 } else { within(3000) }));
                }
                _ => {
                    let step = newest.unwrap_or(0) + within(4) as usize;
                    wait_until(&mut training, || Checkpoints::of(&run).path(step).is_file());
                    sleep(Duration::from_millis(within(400)));
                }
            }
        } else {
            training.child.wait().unwrap();
        }
        if training.child.try_wait().unwrap().is_none() {
            training.child.kill().unwrap();
            training.end();
            let newest = Checkpoint::open(&run).ok().map(|found| found.checkpoint.step);
            println!("kill {kills}: run {runs}, newest {newest:?}, half-written {}", partial(&run));
            while_saving += usize::from(partial(&run) > 0);
            saved = newest.unwrap_or(0);
            kills += 1;
        } else {
            let (code, text) = training.end();
            assert_eq!(code, Some(0), "{text}");
            assert_untouched(&run);
            (runs, saved, going) = (runs + 1, 0, kills < KILLS);
        }
    }
    println!("{kills} kills, {while_saving} of them while saving, in {runs} runs");
    assert!(while_saving > 0, "no kill hit a save");
}

/// Waits until the condition holds or the process has ended.
fn wait_until(training: &mut Training, condition: impl Fn() -> bool) {
    while !condition() && training.child.try_wait().unwrap().is_none() {
        sleep(Duration::from_micros(200));
    }
}
