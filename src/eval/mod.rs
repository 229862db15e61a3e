//! Trained networks in use: scores (spec 9.1, 9.2), predictions, pictures.

mod gallery;
pub mod metrics;
mod model;
mod predict;
mod score;

pub use gallery::Gallery;
pub use model::{Model, Seen, SeenTagged, View};
pub use predict::{PredictOptions, predict};
pub use score::{Scorer, score_run};
