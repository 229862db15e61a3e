//! Requests to stop a run early, by Ctrl-C or by a caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Exit code of a process that was stopped: that of Ctrl-C in a shell.
pub const STOPPED: u8 = 130;

/// Asks a run to save a checkpoint and end. Clones share the request; by default there is none.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    /// Whether signal handlers are yet to be installed.
    deaf: Arc<AtomicBool>,
}

impl Stop {
    /// A request that Ctrl-C (SIGINT) and SIGTERM make once the first step is about to begin. The second signal ends
    /// the process at once.
    ///
    /// SIGHUP is not handled, so `nohup tagseg train` works as usual.
    pub fn on_signals() -> Self {
        Stop { deaf: Arc::new(true.into()), ..Stop::default() }
    }

    /// Requests the stop.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether a stop was requested.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Installs the signal handlers. Before this, signals end the process as usual. A second call,
    /// by the next run of a series, has no effect.
    pub(super) fn listen(&self) -> Result<()> {
        let deaf = self.deaf.swap(false, Ordering::SeqCst);
        for signal in [SIGINT, SIGTERM].into_iter().filter(|_| deaf) {
            // In this order: the first signal finds no request yet, and makes it.
            flag::register_conditional_shutdown(signal, STOPPED.into(), self.asked.clone())
                .and_then(|_| flag::register(signal, self.asked.clone()))
                .map_err(|error| Error::Graph(format!("cannot handle signal {signal}: {error}")))?;
        }
        Ok(())
    }
}
