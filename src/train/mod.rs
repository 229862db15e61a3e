//! Training runs: the step on a device, the loop around it, and what it leaves on disk.

mod demo;
mod failure;
mod run;
mod trainer;

pub use demo::{DemoOptions, demo};
pub use failure::{Replayed, replay};
pub use run::{TrainOptions, run};
pub use trainer::{StepBatch, StepValues, Trainer};
