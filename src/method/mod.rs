//! Methods: what a training step records.

pub mod bmp;
