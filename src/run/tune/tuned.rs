//! A proposal for the kernel table.

use crate::engine::kernel::Kernels;

/// Measurements on a device, and the proposal based on them.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The adapter's name.
    pub adapter: String,
    /// Adapter, interface, driver and its version.
    pub driver: String,
    /// The steps whose shapes were measured.
    pub steps: Vec<String>,
    /// The proposed choices.
    pub kernels: Kernels,
    /// Every choice, current and proposed.
    pub choices: Vec<Choice>,
    /// Variants that were skipped because they are wrong on this device.
    pub notices: Vec<String>,
}

/// One choice of the table.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// The current choice.
    pub current: String,
    /// The proposed variant and its speed-up.
    pub proposal: Option<(String, f64)>,
    /// Shapes at which it was measured.
    pub shapes: usize,
}
