//! Semantic segmentation learned from image tags alone, on any GPU.

pub mod bmp;
pub mod config;
pub mod data;
mod error;
pub mod eval;
pub mod gpu;
pub mod graph;
pub mod nn;
pub mod ops;
pub mod reference;
mod session;

pub mod report;
pub mod train;
pub mod verify;
pub mod weights;

pub use error::{Error, Result};
pub use session::{Program, Session, Values};
