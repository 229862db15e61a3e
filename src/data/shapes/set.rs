//! The generated data set: its classes, its splits, and the pictures of a split by number.

use super::scene;
use crate::data::picture::{Mask, Rgb8};
use crate::data::random::{Purpose, stream};

/// The four classes; mask value 1 is the first.
pub const CLASSES: [&str; 4] = ["disc", "square", "triangle", "ring"];

/// The two parts of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For evaluation.
    Val,
}

impl Split {
    /// The split's name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
        }
    }
}

/// Picture `index` of a split: the image and its mask, `size` pixels per side.
pub fn picture(split: Split, index: usize, size: usize, seed: u64) -> (Rgb8, Mask) {
    scene::draw(size, &mut stream(seed, Purpose::Shapes, [split as u64, index as u64]).0)
}
