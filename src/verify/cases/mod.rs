//! The runners: one per case name, one file per group.
//!
//! A runner reads sizes and constants from the case alone, so that a set with other seeds and shapes runs as well. What
//! it hands over is compared by [`super::judge`]; a stored result that it does not hand over fails the case.

mod evaluation;
mod ops;
mod recipe;
mod trial;

use super::golden::{GoldenCase, GoldenSet};
use super::judge::Results;
use crate::error::Result;
use crate::session::Session;

/// What a runner works with.
pub struct Bench<'a> {
    /// All cases, for those that refer to another's file.
    pub set: &'a GoldenSet,
    /// The case.
    pub case: &'a GoldenCase,
    /// Where to run.
    pub session: &'a Session,
}

/// Computes the results of a case.
pub type Runner = fn(&Bench<'_>, &mut Results) -> Result<()>;

/// The runner of the case `name`.
pub fn runner(name: &str) -> Option<Runner> {
    Some(match name {
        "op_layer_norm" => ops::layer_norm,
        "op_linear" => ops::linear,
        "op_matmul" => ops::matmul,
        "op_pointwise" => ops::pointwise,
        "op_pooling" => ops::pooling,
        "op_softmax" => ops::softmax,
        "recipe_check" => recipe::recipe_check,
        "nano_weights" | "nano2_weights" => recipe::weights,
        "evaluation_scores" => evaluation::evaluation_scores,
        _ => return None,
    })
}
