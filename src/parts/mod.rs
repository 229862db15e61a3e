//! Building blocks of methods: encoders, a decoder, seeds and their propagation, pseudo labels, losses.

pub mod affinity;
pub(crate) mod batch_parts;
#[cfg(feature = "native")]
pub mod crf;
pub mod decoder;
pub mod encoders;
pub mod images;
pub mod labels;
pub mod losses;
pub mod network;
#[cfg(feature = "native")]
pub mod onnx;
pub mod propagation;
pub mod seeds;
pub mod walk;
