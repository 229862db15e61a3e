//! Tests of the program as processes, with generated data and tiny runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod ablate;
mod bench;
mod check;
mod guards;
mod label;
mod official;
mod photos;
mod place;
mod protocols;
mod refused_data;
mod refused_input;
mod report;
mod tensorboard;
mod tune;
mod whole_path;
