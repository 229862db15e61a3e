//! Devices as the program opens them: within the limits of the environment, their fast kernels tested, the verdict kept
//! in the user's cache folder, and notices on standard error. A library that wants none of this calls [`Session::open`].

use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::engine::gpu::DeviceChoice;
use crate::engine::self_test;
use crate::engine::session::Session;
use crate::error::Result;

/// Opens a device as the program does.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if there is no such adapter, or the environment names limits that do not
/// exist.
pub fn open(device: impl Into<DeviceChoice>) -> Result<Session> {
    let session = Session::open(with_environment(device)?)?;
    self_test::tested(session, cache_folder().as_deref(), |notice| eprintln!("{notice}"))
}

/// A choice with the limits that `TAGSEG_LIMITS` names, where it leaves them open.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if there are no limits of that name.
pub fn with_environment(device: impl Into<DeviceChoice>) -> Result<DeviceChoice> {
    let choice = device.into();
    Ok(match (choice.limits, std::env::var("TAGSEG_LIMITS")) {
        (None, Ok(text)) => choice.limits(Some(text.parse()?)),
        _ => choice,
    })
}

/// Where verdicts on kernels are kept: `tagseg` in the user's cache folder, if there is one.
pub fn cache_folder() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.cache_dir().join("tagseg"))
}
