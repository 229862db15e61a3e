//! A pickle reader that can only build plain values, arrays of numbers and references to tensors.
//!
//! A pickle is a program for a small stack machine; Python's own reader lets it call any function by name. This one
//! never looks up or calls a name: a few names ([`Marker`]) select what to build, and every other one is
//! an error. The machine supports the opcodes of the protocols 1 to 5 that `torch.save`
//! and `numpy.save` write.

mod machine;
mod numpy;
mod reader;
mod value;

pub use machine::read;
pub use value::{Array, Dtype, Id, Marker, Pickle, Storage, TensorView, Value};
