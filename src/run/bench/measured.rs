//! The results of a measurement.

use crate::engine::kernel::KernelTable;
use crate::engine::probe::Peak;

/// Results of a measurement. Times are in seconds.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Measured {
    /// The adapter.
    pub device: String,
    /// The kernel choices in use.
    pub table: Option<KernelTable>,
    /// Side of the crops.
    pub crop: usize,
    /// Images in a step.
    pub batch: usize,
    /// Foreground classes.
    pub classes: usize,
    /// The median step in the last phase of training, in which all losses are active.
    pub step: f64,
    /// The fastest step.
    pub fastest_step: f64,
    /// Images per second at the median.
    pub images_per_second: f64,
    /// Recording and planning the step, and creating its pipelines.
    pub prepare: f64,
    /// The first step after that, in which drivers compile the kernels that are not in their cache.
    pub first_step: f64,
    /// Median time that the host needs to submit a step, without waiting for the device.
    pub host: f64,
    /// Bytes of all buffers of the step.
    pub planned_bytes: u64,
    /// The rates that two plain kernels reach on this device in this run.
    pub peak: Peak,
    /// Time on the device by part of the step, in the order of the step.
    pub parts: Vec<StepPart>,
    /// Kernels by shader and result, the heaviest first.
    pub kernels: Vec<Kernel>,
}

/// A part of the step.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StepPart {
    /// Its name in the recording.
    pub name: &'static str,
    /// Time on the device.
    pub seconds: f64,
    /// Arithmetic operations of the kernels that count them.
    pub operations: u64,
    /// Number of dispatches.
    pub dispatches: usize,
}

/// All dispatches of one shader for one op and size of result.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Kernel {
    /// The op.
    pub op: &'static str,
    /// The shader.
    pub shader: &'static str,
    /// Type and shape of the result.
    pub output: String,
    /// Number of dispatches.
    pub dispatches: usize,
    /// Time of all of them.
    pub seconds: f64,
    /// Arithmetic operations of all of them; 0 if they are not counted.
    pub operations: u64,
    /// The least bytes that all of them move: each bound value once.
    pub traffic: u64,
}

impl Kernel {
    /// The time that the device's peak would need for the arithmetic or the bytes, whichever is longer, as a share of
    /// the time taken.
    pub fn share_of_peak(&self, peak: &Peak) -> f64 {
        (self.operations as f64 / peak.operations).max(self.traffic as f64 / peak.bytes) / self.seconds
    }
}
