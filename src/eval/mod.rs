//! Trained networks in use: scores (spec 9.1, 9.2), predictions, pictures.

mod canvas;
#[cfg(feature = "native")]
pub mod crf;
#[cfg(feature = "native")]
mod gallery;
pub mod metrics;
mod model;
#[cfg(feature = "native")]
mod predict;
#[cfg(feature = "native")]
mod score;

#[cfg(feature = "native")]
pub use self::{
    gallery::Gallery,
    predict::{PredictOptions, predict},
    score::{Scorer, score_run},
};
pub use model::{Model, Seen, SeenTagged, View};
