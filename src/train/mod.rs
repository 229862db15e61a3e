//! Training runs: the step on a device, the loop around it, what it leaves on disk, and how it goes on from there.

mod clock;
mod demo;
mod failure;
mod folder;
mod resume;
mod run;
mod setting;
mod stop;
mod trainer;
mod window;

pub use demo::{DemoOptions, demo};
pub use failure::{Replayed, replay};
pub use resume::{Resume, ResumeOptions};
pub use run::{TrainOptions, TrainSummary, run};
pub use stop::{STOPPED, Stop};
pub use trainer::{StepBatch, StepValues, Trainer};
