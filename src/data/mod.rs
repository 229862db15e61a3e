//! Data sets with image tags: reading, augmenting and loading them (spec section 8).
//!
//! | File | Subject |
//! |---|---|
//! | [`picture`] | decoded images and masks |
//! | [`palette`] | the PASCAL VOC colours, index PNGs |
//! | [`tags`] | class names, tags, `labels.json` |
//! | [`voc`] | a split of a data set in PASCAL VOC layout |
//! | [`resize`] | Pillow's antialiased bilinear resize |
//! | [`mod@augment`] | from a decoded image to a training crop |
//! | [`random`] | independent random streams |
//! | [`loader`] | training batches, prepared on background threads |
//! | [`shapes`] | the generated data set |

pub mod augment;
pub mod loader;
pub mod palette;
pub mod picture;
pub mod random;
pub mod resize;
pub mod shapes;
pub mod tags;
pub mod voc;

pub use augment::{AugmentOptions, Crop, augment, normalise};
pub use loader::{Batch, Loader, LoaderOptions};
pub use picture::{Mask, Rgb8};
pub use tags::VOID;
pub use voc::{Dataset, DatasetOptions};
