//! Errors of a device since it was opened. wgpu reports them through callbacks, and would otherwise abort the process.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// The remedy for a plan that does not fit.
pub(super) const SMALLER: &str = "choose a smaller crop, batch or model";

/// The first fault of each kind; results after a fault are invalid.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    lost: Option<String>,
    error: Option<(String, &'static str)>,
}

/// The remedy for an error.
fn remedy(error: &wgpu::Error) -> &'static str {
    match error {
        wgpu::Error::OutOfMemory { .. } => SMALLER,
        _ => "update the driver or the browser",
    }
}

impl Faults {
    /// Installs the callbacks of a device.
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
        // The lock guards a few strings, which stay valid if it is poisoned.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of_kind(&mut seen).get_or_insert(message);
    }

    /// Checks that the device called `name` has no fault.
    ///
    /// # Errors
    /// [`Error::Device`] with the first fault; a loss takes precedence, since it causes other faults.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&seen.lost, &seen.error) {
            (Some(reason), _) => Err(Error::device(
                format!("{name} was lost: {reason}"),
                "check the driver's log and restart the program",
            )),
            (_, Some((reason, remedy))) => Err(Error::device(format!("{name} failed: {reason}"), *remedy)),
            _ => Ok(()),
        }
    }
}
