//! BMP: a network of two branches that supervise each other (spec 2 to 7).

pub(crate) mod division;
pub mod iteration;
pub mod schedule;

pub use iteration::Iteration;
pub use schedule::{Group, Phase, Schedule, group_of};
