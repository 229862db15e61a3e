//! A pickle reader that can build plain values, arrays of numbers and references to tensors, and nothing else.
//!
//! A pickle is a program for a small stack machine; Python's own reader lets it call any function by name. Here no
//! name is ever looked up, let alone called: a handful of names ([`Marker`]) say what to build, and every other is
//! refused by that name. The machine knows the opcodes of the protocols 1 to 5 that `torch.save`
//! and `numpy.save` write.

mod machine;
mod numpy;
mod reader;
mod value;

pub use machine::read;
pub use value::{Array, Dtype, Id, Marker, Pickle, Storage, TensorView, Value};
