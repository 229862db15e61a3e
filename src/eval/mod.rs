//! Scores of a trained network.

pub mod metrics;
