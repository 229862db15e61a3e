//! What a session computes with: a device, or the interpreter. Each is one file behind the same two traits.

mod device;
mod interface;
mod interpreter;

pub(crate) use device::OnDevice;
pub(crate) use interface::{Engine, Runnable};
pub(crate) use interpreter::OnInterpreter;
