//! Geometry that an op and its reference share: windows, axes, heads, strides.

pub mod axis;
pub mod broadcast;
pub mod gather;
pub mod heads;
pub mod matrix;
pub mod patches;
pub mod window;
