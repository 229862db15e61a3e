//! What a model is asked to compute: the protocol, and the outputs.

use crate::method::Protocol;

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

/// What to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// With known tags, the maps of the method are computed too, such as seeds.
    pub tags: Tags,
    /// Whether to output the class probabilities, for the CRF.
    pub probabilities: bool,
    /// The name of the only map of the method to compute; without one, all are computed.
    pub map: Option<&'static str>,
}
