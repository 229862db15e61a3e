//! Training runs: the step on a device, the loop around it, and what it leaves on disk.

mod demo;
mod run;
mod trainer;

pub use demo::{DemoOptions, demo};
pub use run::{TrainOptions, run};
pub use trainer::{StepValues, Trainer};
