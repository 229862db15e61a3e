//!
//! | File | Subject |
//! |---|---|
//! | [`picture`] | decoded images and masks |
//! | [`palette`] | the PASCAL VOC colours, index PNGs |
//! | [`tags`] | class names, tags, `labels.json` |
//! | [`voc`] | a split of a data set in PASCAL VOC layout |

pub mod palette;
pub mod picture;
pub mod tags;
pub mod voc;

pub use picture::{Mask, Rgb8};
pub use tags::VOID;
pub use voc::{Dataset, DatasetOptions};
