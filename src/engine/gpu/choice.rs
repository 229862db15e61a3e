//! Which device to compute on, and how much of it to use.

use serde::{Deserialize, Serialize};

use crate::engine::kernel::{Class, KernelTable};
use crate::error::{Error, Result};

/// A requested device; fields that are not set are decided when it is opened. A string converts to a choice of the
/// adapter.
///
/// ```
/// use tagseg::engine::gpu::{DeviceChoice, Limits};
///
/// let choice = DeviceChoice::named("auto").limits(Limits::Default).nice(true);
/// assert_eq!(choice.adapter.as_deref(), Some("auto"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeviceChoice {
    /// `auto` (the default), an index of [`super::device::adapters`], a part of a name, or `reference` for the CPU
    /// interpreter.
    pub adapter: Option<String>,
    /// Limits and features to request: by default, those of the adapter.
    pub limits: Option<Limits>,
    /// The class that kernels are chosen for: by default, the adapter's. Kernels for hardware also run on software, but
    /// slowly; tests use that.
    pub class: Option<Class>,
    /// The table that kernels are chosen from, if it has a section for the adapter: by default, the built-in one.
    pub kernels: Option<KernelTable>,
    /// Whether to submit work in small portions with pauses, so that the device stays responsive for others.
    #[serde(default)]
    pub nice: bool,
}

/// The limits and features that a device requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limits {
    /// The limits and optional features of the adapter.
    Adapter,
    /// The default limits of WebGPU and no optional feature, as in a browser.
    Default,
}

impl std::str::FromStr for Limits {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "adapter" => Ok(Limits::Adapter),
            "default" => Ok(Limits::Default),
            _ => Err(Error::device(format!("unknown limits `{text}`"), "choose `adapter` or `default`")),
        }
    }
}

impl DeviceChoice {
    /// An adapter: `auto`, an index, a part of a name, or `reference`.
    pub fn named(adapter: impl Into<String>) -> Self {
        DeviceChoice { adapter: Some(adapter.into()), ..Self::default() }
    }

    /// This choice with `limits`.
    #[must_use]
    pub fn limits(self, limits: impl Into<Option<Limits>>) -> Self {
        DeviceChoice { limits: limits.into(), ..self }
    }

    /// This choice with the kernels of a `class` of devices.
    #[must_use]
    pub fn class(self, class: impl Into<Option<Class>>) -> Self {
        DeviceChoice { class: class.into(), ..self }
    }

    /// This choice with the kernels of a table.
    #[must_use]
    pub fn kernels(self, kernels: impl Into<Option<KernelTable>>) -> Self {
        DeviceChoice { kernels: kernels.into(), ..self }
    }

    /// This choice with `nice` set.
    #[must_use]
    pub fn nice(self, nice: bool) -> Self {
        DeviceChoice { nice, ..self }
    }

    /// This choice, with fields that are not set taken from `base`.
    pub fn over(self, base: &DeviceChoice) -> Self {
        DeviceChoice {
            adapter: self.adapter.or_else(|| base.adapter.clone()),
            limits: self.limits.or(base.limits),
            class: self.class.or(base.class),
            kernels: self.kernels.or_else(|| base.kernels.clone()),
            nice: self.nice || base.nice,
        }
    }

    /// This choice for so many processes on a machine: `auto` instead of a list of another number of adapters.
    #[must_use]
    pub fn for_processes(self, processes: usize) -> Self {
        let misfit = list(self.wish()).is_some_and(|list| list.len() != processes);
        DeviceChoice { adapter: self.adapter.filter(|_| !misfit), ..self }
    }

    /// The adapter's name, index or `auto`.
    pub(super) fn wish(&self) -> &str {
        self.adapter.as_deref().unwrap_or("auto")
    }

    /// Whether it is the CPU interpreter.
    pub(crate) fn is_reference(&self) -> bool {
        self.wish() == "reference"
    }
}

/// The indices of a list of adapters, `0,0,1`, if it is one.
pub(super) fn list(wish: &str) -> Option<Vec<usize>> {
    let list: Option<Vec<_>> = wish.split(',').map(|entry| entry.trim().parse().ok()).collect();
    list.filter(|list| list.len() > 1)
}

impl From<&str> for DeviceChoice {
    fn from(adapter: &str) -> Self {
        Self::named(adapter)
    }
}

impl From<&DeviceChoice> for DeviceChoice {
    fn from(choice: &DeviceChoice) -> Self {
        choice.clone()
    }
}
