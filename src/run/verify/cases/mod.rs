//! The runners: one per case name, one file per group.
//!
//! A runner reads all sizes and constants from the case, so that sets with other seeds and shapes work too. Its
//! results are compared by [`super::judge`]; a case fails if a stored result is missing.

mod bench;
mod blocks;
mod encoder;
mod evaluation;
mod list;
mod model;
mod ops;
mod propagation;
mod pseudo;
mod recipe;
mod slots;
mod training;
mod trial;

pub use bench::{Bench, Runner};
pub use list::{in_half, runner};
