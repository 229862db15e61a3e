//! Weights on disk.

mod checkpoint;

pub use checkpoint::{Checkpoint, write_atomically};
