//! Devices and compiled programs. Runs launch descriptions and knows no op. Nothing here blocks: functions that wait
//! for a device return a future, on which [`Session`](crate::engine::session::Session) blocks where that is allowed.

mod bytes;
mod choice;
mod device;
mod fault;
mod fuse;
#[cfg(not(target_arch = "wasm32"))]
mod of_rank;
mod order;
pub mod pace;
mod plan;
mod pool;
mod precision;
mod profile;
mod program;
mod read_back;
mod recompute;
mod schedule;
mod states;
mod views;

pub use bytes::{gibibytes, mebibytes};
pub use choice::{DeviceChoice, Limits};
pub use device::{AdapterReport, Device, adapters};
#[cfg(not(target_arch = "wasm32"))]
pub use of_rank::of_rank;
pub use plan::{Place, Plan, Step};
pub use pool::Value;
pub use profile::KernelTime;
pub use program::{Program, plan};
pub use states::States;
