//! Evaluation of trained networks: scores and predictions by the protocols of method.md 9, and pictures.

#[cfg(feature = "native")]
mod batches;
mod canvas;
mod checkpoint;
#[cfg(feature = "native")]
mod gallery;
mod graph;
#[cfg(feature = "native")]
mod label;
pub mod metrics;
mod model;
#[cfg(feature = "native")]
mod predict;
#[cfg(feature = "native")]
mod refine;
mod request;
#[cfg(feature = "native")]
mod score;

#[cfg(feature = "native")]
pub use self::{
    gallery::Gallery,
    label::{LabelOptions, LabelSummary, LabelledClass, label},
    predict::{PredictOptions, Predicted, is_image, predict},
    score::{ScoreOptions, Scored, Scoring, score_run},
};
pub use crate::method::Protocol;
pub use model::{MapValues, Model, Seen, SeenMap, View};
pub use request::{Maps, Request, Tags};
