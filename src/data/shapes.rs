//! The generated data set: textured shapes over clutter, with tags and masks, for trying the program and testing it.
//!
//! Four classes, each with a form, a texture and a tendency of colour: striped reddish discs, chequered bluish squares,
//! dotted greenish triangles and banded violet rings, one to three in an image. Colour alone does not give a class
//! away: strokes and small blobs of any colour lie in the background and belong to no class.

#[cfg(feature = "native")]
mod folder;
mod paint;
mod scene;

use crate::data::picture::{Mask, Rgb8};
use crate::data::random::{Purpose, stream};

#[cfg(feature = "native")]
pub use folder::{ShapesOptions, generate};

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

/// Picture `index` of a split: the image and its mask, `size` pixels a side.
pub fn picture(split: Split, index: usize, size: usize, seed: u64) -> (Rgb8, Mask) {
    scene::draw(size, &mut stream(seed, Purpose::Shapes, [split as u64, index as u64]))
}
