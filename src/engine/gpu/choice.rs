//! Which device to compute on, and how much of it to use.

use serde::{Deserialize, Serialize};

use crate::engine::kernel::Class;
use crate::engine::kernel::KernelTable;
use crate::error::{Error, Result};

/// A device as a person wishes for it; what is left open is decided when it is opened. A text alone names the adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceChoice {
    /// `auto` (if open), an index of [`super::device::adapters`], a part of a name, or `reference` for the CPU interpreter.
    pub adapter: Option<String>,
    /// How much of the adapter is asked for: if open, the environment's `TAGSEG_LIMITS`, else all of it.
    pub limits: Option<Limits>,
    /// The class that kernels are chosen for: if open, the adapter's own. Kernels for hardware run on software too,
    /// slowly, which is how they are tested.
    pub class: Option<Class>,
    /// The table that kernels are chosen from, where it has a section for the adapter: if open, that of the repository.
    pub kernels: Option<KernelTable>,
    /// Whether to work in small portions with rests between them, for others who use the device.
    #[serde(default)]
    pub nice: bool,
}

/// How much of an adapter a device may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limits {
    /// The limits and optional features that the adapter has.
    Adapter,
    /// The limits that WebGPU grants everywhere, and no optional feature: what a browser gives.
    Default,
}

impl std::str::FromStr for Limits {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "adapter" => Ok(Limits::Adapter),
            "default" => Ok(Limits::Default),
            _ => Err(Error::device(format!("there are no limits `{text}`"), "choose `adapter` or `default`")),
        }
    }
}

impl DeviceChoice {
    /// This choice, with what it leaves open taken from `base`.
    pub fn over(self, base: &DeviceChoice) -> Self {
        DeviceChoice {
            adapter: self.adapter.or_else(|| base.adapter.clone()),
            limits: self.limits.or(base.limits),
            class: self.class.or(base.class),
            kernels: self.kernels.or_else(|| base.kernels.clone()),
            nice: self.nice || base.nice,
        }
    }

    /// The adapter's name, index or `auto`.
    pub(crate) fn adapter(&self) -> &str {
        self.adapter.as_deref().unwrap_or("auto")
    }

    /// The limits that were chosen here, else in the environment, else the adapter's.
    ///
    /// # Errors
    /// [`Error::Device`] if the environment names limits that do not exist.
    pub(super) fn limits(&self) -> Result<Limits> {
        match (self.limits, std::env::var("TAGSEG_LIMITS")) {
            (Some(limits), _) => Ok(limits),
            (None, Ok(text)) => text.parse(),
            (None, Err(_)) => Ok(Limits::Adapter),
        }
    }
}

impl From<&str> for DeviceChoice {
    fn from(adapter: &str) -> Self {
        DeviceChoice { adapter: Some(adapter.to_owned()), ..Self::default() }
    }
}

impl From<&DeviceChoice> for DeviceChoice {
    fn from(choice: &DeviceChoice) -> Self {
        choice.clone()
    }
}
