//! Devices and compiled programs. Runs launch descriptions and knows no op.

mod device;
mod fault;
mod plan;
mod profile;
mod program;
pub mod wgsl;

pub use device::{AdapterReport, Device, adapters};
pub use plan::{Plan, Step};
pub use profile::KernelTime;
pub use program::{Program, States, plan};
