//! The generated data set: textured shapes over clutter, with tags and masks, for trying the program and testing it.
//!
//! Four classes, each with a form, a texture and a tendency of colour: striped reddish discs, chequered bluish squares,
//! dotted greenish triangles and banded violet rings, one or two in an image. Colour alone does not determine the
//! class: the background has strokes and small blobs of any colour.

#[cfg(feature = "native")]
mod folder;
mod paint;
mod scene;
mod set;

#[cfg(feature = "native")]
pub use folder::{ShapesOptions, generate};
pub use set::{CLASSES, Split, picture};
