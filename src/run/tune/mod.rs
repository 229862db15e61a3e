//! Which kernel variants are fastest on a device: every choice of the kernel table, measured at the shapes of training
//! steps, as a proposal for the table.

mod case;
mod choose;
mod report;
mod tuned;

pub use choose::run;
pub use tuned::{Choice, Tuned};
