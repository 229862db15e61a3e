//! Opens devices as the command line does: with the limits that the environment sets, a self-test of the fast kernels
//! whose result is stored in the user's cache folder, and notices on standard error. Library users who want none of
//! this call [`Session::open`].

use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::engine::gpu;
use crate::engine::gpu::DeviceChoice;
use crate::engine::ranks::World;
use crate::engine::self_test;
use crate::engine::session::Session;
use crate::error::Result;

/// Opens a device as the command line does.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if there is no such adapter, or the environment names unknown
/// limits.
pub fn open(device: impl Into<DeviceChoice>) -> Result<Session> {
    let session = Session::open(with_environment(device)?)?;
    self_test::tested(session, cache_folder().as_deref(), |notice| eprintln!("{notice}"))
}

/// The same for one of several ranks: `auto` is a card of its own.
///
/// # Errors
/// As [`open`]; also if ranks on this machine outnumber its cards.
pub(in crate::run) fn open_for(device: &DeviceChoice, world: &World) -> Result<Session> {
    if !world.is_shared() {
        return open(device);
    }
    let choice = with_environment(gpu::of_rank(device, world)?)?;
    let notice = |notice: &str| {
        if world.is_first() {
            eprintln!("{notice}");
        }
    };
    self_test::tested(Session::open(choice)?, cache_folder().as_deref(), notice)?.among(world.clone())
}

/// Adds the limits that `TAGSEG_LIMITS` names to a choice that sets none.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if the limits are unknown.
pub fn with_environment(device: impl Into<DeviceChoice>) -> Result<DeviceChoice> {
    let choice = device.into();
    Ok(match (choice.limits, std::env::var("TAGSEG_LIMITS")) {
        (None, Ok(text)) => choice.limits(Some(text.parse()?)),
        _ => choice,
    })
}

/// The folder for results of self-tests: `tagseg` in the user's cache folder, if there is one.
pub fn cache_folder() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.cache_dir().join("tagseg"))
}
