//! Trained networks in use: scores and predictions by the procedures of spec 9, pictures.

mod canvas;
#[cfg(feature = "native")]
mod gallery;
pub mod metrics;
mod model;
#[cfg(feature = "native")]
mod network;
#[cfg(feature = "native")]
mod predict;
mod request;
#[cfg(feature = "native")]
mod score;
mod sight;

#[cfg(feature = "native")]
pub use self::{
    gallery::Gallery,
    predict::{PredictOptions, Predicted, predict},
    score::{ScoreOptions, Scored, Scoring, score_run},
};
pub use model::{Model, Seen, SeenTagged, View};
pub use request::{Protocol, Request, Tags};
