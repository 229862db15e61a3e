//! Training runs: the step on a device, the loop around it, what it leaves on disk, and how it goes on from there.

#[cfg(feature = "native")]
mod ablate;
#[cfg(feature = "native")]
mod clock;
#[cfg(feature = "native")]
mod demo;
#[cfg(feature = "native")]
mod failure;
mod fit;
#[cfg(feature = "native")]
mod folder;
#[cfg(feature = "native")]
mod resume;
#[cfg(feature = "native")]
mod run;
#[cfg(feature = "native")]
mod setting;
#[cfg(feature = "native")]
mod stop;
mod trainer;
#[cfg(feature = "native")]
mod window;

#[cfg(feature = "native")]
pub use self::{
    ablate::{AblateOptions, AblateSummary, ablate},
    demo::{DemoOptions, demo},
    failure::{Replayed, replay},
    resume::{Resume, ResumeOptions},
    run::{TrainOptions, TrainSummary, plan, run},
    stop::{STOPPED, Stop},
};
pub use crate::error::resume_command;
pub use fit::{Fit, fit};
pub use trainer::{StepBatch, StepValues, Trainer};
