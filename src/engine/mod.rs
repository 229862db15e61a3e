//! Tensors, gradients and kernels: an engine independent of images.
//!
//! A [`Graph`](graph::Graph) records, [`Session`](session::Session) compiles it for a device or for the f64
//! interpreter, a [`Program`](session::Program) replays it.

mod backend;
pub mod geometry;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod nn;
pub mod ops;
pub mod optim;
#[cfg(feature = "native")]
pub mod probe;
mod program;
pub mod ranks;
pub mod reference;
pub mod self_test;
pub mod session;
pub mod types;
mod values;
