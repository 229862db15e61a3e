//! What is asked of a model: by which procedure it looks, and what of what it sees is wanted.

use crate::method::Protocol;

/// What is known of the tags of the images that are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tags {
    /// Nothing, and nothing that would need them is asked for.
    #[default]
    Unknown,
    /// They are given, up to so many an image.
    Given(usize),
    /// They are what the classification finds: the classes with logits above 0.
    Predicted,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// How the images are looked at.
    pub protocol: Protocol,
    /// Known tags also give the maps of the method, seeds among them.
    pub tags: Tags,
    /// Whether the probabilities of the classes are wanted, for the CRF.
    pub probabilities: bool,
}
