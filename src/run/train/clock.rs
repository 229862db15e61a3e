//! Time spent on steps, without evaluations and saves.

use std::time::Instant;

/// A stopwatch; it stands still until [`Clock::go_on`].
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: Option<Instant>,
    lap: f64,
    total: f64,
}

impl Clock {
    /// A clock that has `seconds` behind it.
    pub(super) fn at(seconds: f64) -> Self {
        Clock { total: seconds, ..Clock::default() }
    }

    /// Stands still.
    pub(super) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            let seconds = since.elapsed().as_secs_f64();
            self.lap += seconds;
            self.total += seconds;
        }
    }

    /// Runs.
    pub(super) fn go_on(&mut self) {
        self.pause();
        self.since = Some(Instant::now());
    }

    /// Seconds since the last lap; a new one begins.
    pub(super) fn lap(&mut self) -> f64 {
        self.go_on();
        std::mem::take(&mut self.lap)
    }

    /// Seconds in all, up to the last pause or lap.
    pub(super) fn total(&self) -> f64 {
        self.total
    }
}
