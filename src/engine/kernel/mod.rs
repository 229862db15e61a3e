//! Kernels as data: dispatches, the variants that a table chooses, and the text of a variant.

pub mod half;
mod launch;
mod packing;
mod table;
mod target;
pub mod wgsl;

pub use launch::{Launch, LaunchContext, Launches, Shader, Slot, WORKGROUP, shader};
pub use packing::{BLOCK, Packing};
pub use table::KernelTable;
pub use target::{ByLength, BySize, ByWidth, Class, Kernels, Queries, Target, Tile, Walk};
