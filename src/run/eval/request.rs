//! What a model is asked to compute: the protocol, and the outputs.

use crate::method::{MapInfo, Protocol};

/// What is known about the tags of the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tags {
    /// Nothing; no output that needs them is requested.
    #[default]
    Unknown,
    /// They are given, at most so many per image.
    Given(usize),
    /// They are predicted: the classes whose logits are above 0.
    Predicted,
}

/// Maps of a method, where the tags of the images are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maps {
    /// All.
    #[default]
    All,
    /// The one with this name.
    Only(&'static str),
    /// Those that `tagseg predict --seeds` writes to files.
    Written,
}

impl Maps {
    /// Whether a map is one of them.
    pub(super) fn have(self, map: &MapInfo) -> bool {
        match self {
            Maps::All => true,
            Maps::Only(name) => map.name == name,
            Maps::Written => map.file.is_some(),
        }
    }
}

/// What to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// With known tags, maps of the method are computed too, such as seeds.
    pub tags: Tags,
    /// Whether to output the class probabilities, for the CRF.
    pub probabilities: bool,
    /// Which maps of the method.
    pub maps: Maps,
}
