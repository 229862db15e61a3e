//! How fast a training step is on a device, and where its time goes.

mod measured;
mod report;
mod step;
mod sums;

pub use crate::engine::probe::{Peak, median_time};
pub use measured::{Kernel, Measured, StepPart};
pub use step::{Settings, run};
