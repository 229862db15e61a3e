//! Data sets with image tags: reading, augmenting and loading them (spec section 8).
//!
//! | File | Subject |
//! |---|---|
//! | [`picture`] | decoded images and masks |
//! | [`palette`] | the PASCAL VOC colours, index PNGs |
//! | [`tags`] | class names and tags |
//! | [`tag_files`] | files that tags stand in |
//! | [`npy`] | NumPy's files |
//! | `tag_source` | which of those files counts |
//! | [`dataset`] | a split of a data set |
//! | `splits` | what a run opens of a data set |
//! | [`check`] | a doctor for data sets |
//! | `voc` | the PASCAL VOC layout |
//! | [`coco`] | MS-COCO's files of objects |
//! | [`resize`] | Pillow's antialiased bilinear resize |
//! | [`mod@augment`] | from a decoded image to a training crop |
//! | [`random`] | independent random streams |
//! | [`loader`] | training batches, prepared on background threads |
//! | [`shapes`] | the generated data set |

pub mod augment;
#[cfg(feature = "native")]
pub mod check;
#[cfg(feature = "native")]
pub mod coco;
#[cfg(feature = "native")]
pub mod dataset;
#[cfg(feature = "native")]
pub mod loader;
pub mod palette;
pub mod picture;
pub mod random;
pub mod resize;
pub mod shapes;
#[cfg(feature = "native")]
mod splits;
#[cfg(feature = "native")]
pub mod tag_files;
#[cfg(feature = "native")]
mod tag_source;
pub mod tags;
#[cfg(feature = "native")]
mod voc;

pub use augment::{AugmentOptions, Crop, augment, normalise};
#[cfg(feature = "native")]
pub use dataset::{Dataset, DatasetOptions};
#[cfg(feature = "native")]
pub use loader::{Batch, Loader, LoaderOptions};
pub use picture::{Mask, Rgb8};
#[cfg(feature = "native")]
pub use splits::{Follow, SplitOptions, Splits};
pub use tags::VOID;
