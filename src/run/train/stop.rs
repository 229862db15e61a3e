//! The wish to end a run early, by Ctrl-C or by a caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Exit code of a process that was stopped: that of a shell's Ctrl-C.
pub const STOPPED: u8 = 130;

/// Asks a run to save a checkpoint and end. Clones ask the same run; by default nobody does.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    /// Whether signals are still to be listened to.
    deaf: Arc<AtomicBool>,
}

impl Stop {
    /// A wish that Ctrl-C (SIGINT) and SIGTERM express once the first step is about to begin. The second of them ends
    /// the process at once.
    ///
    /// A hang-up keeps its meaning, so `nohup tagseg train` does what it says.
    pub fn on_signals() -> Self {
        Stop { deaf: Arc::new(true.into()), ..Stop::default() }
    }

    /// Asks.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Listens to signals from now on. Before there is something to save, they end the process as ever. A second call,
    /// by the next of several runs, changes nothing.
    pub(super) fn listen(&self) -> Result<()> {
        let deaf = self.deaf.swap(false, Ordering::SeqCst);
        for signal in [SIGINT, SIGTERM].into_iter().filter(|_| deaf) {
            // In this order: the first signal finds the wish not expressed yet, and expresses it.
            flag::register_conditional_shutdown(signal, STOPPED.into(), self.asked.clone())
                .and_then(|_| flag::register(signal, self.asked.clone()))
                .map_err(|error| Error::Graph(format!("signal {signal} cannot be caught: {error}")))?;
        }
        Ok(())
    }
}
