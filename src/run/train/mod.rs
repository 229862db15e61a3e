//! Training runs: the step on a device, the training loop, the run's folder, and resuming.

#[cfg(feature = "native")]
mod clock;
#[cfg(feature = "native")]
mod failure;
mod fit;
#[cfg(feature = "native")]
mod folder;
#[cfg(feature = "native")]
mod means;
#[cfg(feature = "native")]
pub(in crate::run) mod resume;
#[cfg(feature = "native")]
mod run;
#[cfg(feature = "native")]
pub(in crate::run) mod setting;
#[cfg(feature = "native")]
mod stop;
mod trainer;

#[cfg(feature = "native")]
pub use self::{
    failure::{Replayed, replay},
    resume::{Resume, ResumeOptions},
    run::{TrainOptions, TrainSummary, plan, run},
    stop::{STOPPED, Stop},
};
pub use crate::error::resume_command;
pub use crate::method::StepValues;
pub use fit::{Fit, fit};
pub use trainer::{StepBatch, Trainer};
