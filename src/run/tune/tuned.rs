//! A proposal for the kernel table.

use crate::engine::kernel::Kernels;

/// What was measured on a device, and what follows from it.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The adapter's name.
    pub adapter: String,
    /// Adapter, interface, driver and its version.
    pub driver: String,
    /// The steps whose shapes were taken.
    pub steps: Vec<String>,
    /// The choices that are proposed.
    pub kernels: Kernels,
    /// Every choice, as it is and as it should be.
    pub choices: Vec<Choice>,
    /// What is wrong on this device, and was left out.
    pub notices: Vec<String>,
}

/// One choice of the table.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What is chosen today.
    pub today: String,
    /// What is proposed, and how many times as fast that is.
    pub proposal: Option<(String, f64)>,
    /// Shapes at which it was measured.
    pub shapes: usize,
}
