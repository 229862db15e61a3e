//! The runners: one per case name, one file per group.
//!
//! A runner reads sizes and constants from the case alone, so that a set with other seeds and shapes runs as well. What
//! it hands over is compared by [`super::judge`]; a stored result that it does not hand over fails the case.

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
