//! Requests to stop a run early, by Ctrl-C or by a caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
use signal_hook::consts::SIGHUP;
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
    /// A request that Ctrl-C (SIGINT), SIGTERM and SIGHUP, which a closed terminal sends, make once the first step is
    /// about to begin. A second SIGINT or SIGTERM ends the process at once; a terminal may send several SIGHUP.
    ///
    /// SIGHUP remains ignored if it is, so `nohup tagseg train` works as usual.
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
        #[cfg(unix)]
        if deaf && !is_ignored(SIGHUP) {
            flag::register(SIGHUP, self.asked.clone())
                .map_err(|error| Error::Graph(format!("cannot handle signal {SIGHUP}: {error}")))?;
        }
        Ok(())
    }
}

/// Whether the process ignores a signal, as under `nohup`.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, the call only writes the current one to the given place, which is large enough.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: numbers and pointers that are zero are valid, and the call has overwritten them if it succeeded.
    done && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
