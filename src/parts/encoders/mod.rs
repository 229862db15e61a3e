//! Encoders, which compute features of several levels from an image.

pub mod efficientnet_lite;
mod efficientnet_lite_names;
pub mod encoder;
#[cfg(feature = "native")]
mod exporter;
mod list;
pub mod mit;
mod mit_names;
pub mod names;

pub use encoder::{Encoder, EncoderLayers, Features, Level, LevelSize, SCOPE};
#[cfg(feature = "native")]
pub use exporter::{Exporter, Window};
pub use list::{ENCODERS, check, find, is_listed, names_elsewhere, recognise};
