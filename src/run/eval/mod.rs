//! Evaluation of trained networks: scores and predictions by the protocols of method.md 9, and pictures.

mod canvas;
mod checkpoint;
#[cfg(feature = "native")]
mod gallery;
mod graph;
pub mod metrics;
mod model;
#[cfg(feature = "native")]
mod predict;
mod request;
#[cfg(feature = "native")]
mod score;

#[cfg(feature = "native")]
pub use self::{
    gallery::Gallery,
    predict::{PredictOptions, Predicted, is_called_like_an_image, predict},
    score::{ScoreOptions, Scored, Scoring, score_run},
};
pub use crate::method::Protocol;
pub use model::{MapValues, Model, Seen, SeenMap, View};
pub use request::{Request, Tags};
