//! `tagseg label`: the pseudo labels of a data set, made with the tags that are given, as a data set of their own.

mod files;
mod labelling;
mod options;
mod segmented;
mod summary;

pub use labelling::label;
pub use options::LabelOptions;
pub use summary::{LabelSummary, LabelledClass};
