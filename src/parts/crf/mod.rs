//! The fully connected conditional random field of the final test (method.md 9.3): it aligns a segmentation with the
//! edges of its image.

mod labels;
mod lattice;
mod mean_field;

pub use mean_field::{DenseCrf, Marginals};
