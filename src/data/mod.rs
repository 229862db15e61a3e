//! Data sets with image tags: reading, augmenting and loading them (method.md 8).
//!
//! | File | Subject |
//! |---|---|
//! | [`picture`] | decoded images and masks |
//! | [`palette`] | the PASCAL VOC colours, index PNGs |
//! | [`tags`] | class names and tags |
//! | `endings` | endings of picture files |
//! | `ids` | ids of images as other programs write them |
//! | `files` | pictures by the names that other programs give them |
//! | `images` | the images of a split and their masks |
//! | [`dataset`] | a split of a data set: images with tags |
//! | `tag_sources/`, `tag_source` | the files that tags are read from; which of them is used |
//! | `layouts/`, `open` | folder layouts of data sets; which layout a folder has |
//! | `splits` | the splits that a run opens |
//! | `to_tag` | the images of a folder that a person gives tags |
//! | [`check`] | checks of data sets |
//! | `follow` | progress of work on many files |
//! | [`resize`] | Pillow's antialiased bilinear resize |
//! | [`mod@augment`] | from a decoded image to a training crop |
//! | [`random`] | independent random streams |
//! | `sampler` | the images of a training step |
//! | [`loader`] | training batches, prepared on background threads |
//! | [`shapes`] | the generated data set |

pub mod augment;
#[cfg(feature = "native")]
pub mod check;
#[cfg(feature = "native")]
mod class_names;
#[cfg(feature = "native")]
pub mod dataset;
#[cfg(feature = "native")]
pub(crate) mod endings;
#[cfg(feature = "native")]
pub(crate) mod files;
#[cfg(feature = "native")]
mod follow;
#[cfg(feature = "native")]
mod ids;
#[cfg(feature = "native")]
mod images;
#[cfg(feature = "native")]
mod layouts;
#[cfg(feature = "native")]
pub mod loader;
#[cfg(feature = "native")]
mod open;
pub mod palette;
pub mod picture;
pub mod random;
pub mod resize;
#[cfg(feature = "native")]
mod sampler;
pub mod shapes;
#[cfg(feature = "native")]
mod splits;
#[cfg(feature = "native")]
mod tag_source;
#[cfg(feature = "native")]
mod tag_sources;
pub mod tags;
#[cfg(feature = "native")]
mod to_tag;

pub use augment::{AugmentOptions, Crop, augment};
#[cfg(feature = "native")]
pub use dataset::{Dataset, DatasetOptions};
#[cfg(feature = "native")]
pub use follow::Follow;
#[cfg(feature = "native")]
pub use loader::{Batch, Loader, LoaderOptions};
pub use picture::{Mask, Rgb8};
#[cfg(feature = "native")]
pub use splits::{SplitOptions, Splits};
#[cfg(feature = "native")]
pub(crate) use tag_sources::labels::{FILE as LABELS_FILE, Labels};
pub use tags::VOID;
#[cfg(feature = "native")]
pub(crate) use to_tag::ToTag;
