//! Time spent on steps, without evaluations and saves.

use std::time::Instant;

/// A stopwatch; it does not run until [`Clock::resume`].
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: Option<Instant>,
    lap: f64,
    total: f64,
}

impl Clock {
    /// A stopped clock that shows `seconds`.
    pub(super) fn at(seconds: f64) -> Self {
        Clock { total: seconds, ..Clock::default() }
    }

    /// Pauses the clock.
    pub(super) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            let seconds = since.elapsed().as_secs_f64();
            self.lap += seconds;
            self.total += seconds;
        }
    }

    /// Starts or resumes the clock.
    pub(super) fn resume(&mut self) {
        self.pause();
        self.since = Some(Instant::now());
    }

    /// Seconds since the last lap; begins a new one.
    pub(super) fn lap(&mut self) -> f64 {
        self.resume();
        std::mem::take(&mut self.lap)
    }

    /// Total seconds up to the last pause or lap.
    pub(super) fn total(&self) -> f64 {
        self.total
    }
}
