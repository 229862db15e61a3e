//! Methods: the recording of a training step.
//!
//! [`Method`] is the interface: a method makes labels and names its losses; [`Step`] records everything else.

pub mod afa;
pub mod bmp;
mod definition;
pub mod groups;
mod list;
mod losses;
pub mod maps;
mod passes;
mod phase;
mod schedule;
pub mod segformer;
mod step;

pub use definition::{Inputs, Method, Sizes, TrainPass};
pub use groups::Group;
pub use list::Methods;
pub use losses::{EmptyCount, LossTerm, Losses, LossesOf, Objective, of_images};
pub use maps::{MapInfo, MapKind, MapPass, Protocol};
pub use phase::Phase;
pub use schedule::Schedule;
pub use step::{Columns, FLAGS, Step, StepValues, moment_names};
