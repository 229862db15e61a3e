//! How fast a training step is on a device, and where its time goes.

mod measured;
mod probe;
mod report;
mod step;
mod sums;

pub use measured::{Kernel, Measured, StepPart};
pub use probe::{Peak, median_time};
pub use step::{Settings, run};
