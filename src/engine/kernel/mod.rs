//! Kernels as data: dispatches, the table of kernel choices, and the text of a variant.

mod choices;
mod launch;
mod names;
mod pace;
mod packing;
mod table;
mod target;
pub mod wgsl;

pub use choices::{
    Border, ByLength, BySize, ByWidth, Channels, Conversion, HalfProduct, Kernels, Queries, Registers, Tile, Walk,
};
pub use launch::{Launch, LaunchContext, Launches, Shader, Slot, WORKGROUP, shader};
pub use pace::Pace;
pub use packing::{BLOCK, Packing};
pub use table::KernelTable;
pub use target::{Class, HalfMatrices, Halves, Target};
pub(crate) use target::{LONGEST_ROW, MOST_TURNS};
