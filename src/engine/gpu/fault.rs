//! What went wrong on a device since it was opened. wgpu reports it on the side, and would end the process.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// What to do where a plan does not fit.
pub(super) const SMALLER: &str = "choose a smaller crop, batch or model";

/// The first fault of each kind; every one makes what comes after it worthless.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    lost: Option<String>,
    error: Option<(String, &'static str)>,
}

/// What to do about an error.
fn remedy(error: &wgpu::Error) -> &'static str {
    match error {
        wgpu::Error::OutOfMemory { .. } => SMALLER,
        _ => "update the driver or the browser",
    }
}

impl Faults {
    /// Listens to a device.
    pub(super) fn of(device: &wgpu::Device) -> Self {
        let faults = Faults::default();
        let on_lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let message = if message.is_empty() { format!("{reason:?}") } else { message };
            on_lost.note(|seen| &mut seen.lost, message);
        });
        let on_error = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            on_error.note(|seen| &mut seen.error, (error.to_string(), remedy(&error)));
        }));
        faults
    }

    fn note<T>(&self, of_kind: fn(&mut Seen) -> &mut Option<T>, message: T) {
        // A poisoned lock guards a few texts, which are as good as before.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of_kind(&mut seen).get_or_insert(message);
    }

    /// Whether all is well with the device called `name`.
    ///
    /// # Errors
    /// [`Error::Device`] with the first thing that went wrong; a loss tells more than what follows from it.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&seen.lost, &seen.error) {
            (Some(reason), _) => {
                Err(Error::device(format!("{name} was lost: {reason}"), "check the driver's log and start again"))
            }
            (_, Some((reason, remedy))) => Err(Error::device(format!("{name} failed: {reason}"), *remedy)),
            _ => Ok(()),
        }
    }
}
