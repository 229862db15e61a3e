//! The backends of a session: a device, or the interpreter. Both implement the same two traits.

mod device;
mod interface;
mod interpreter;

pub(crate) use device::OnDevice;
pub(crate) use interface::{Engine, Runnable};
pub(crate) use interpreter::OnInterpreter;
