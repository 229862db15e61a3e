//! The input of a runner.

use crate::config::Precision;
use crate::engine::session::Session;
use crate::error::Result;
use crate::run::verify::golden::{GoldenCase, GoldenSet};
use crate::run::verify::judge::Results;

/// The input of a runner.
pub struct Bench<'a> {
    /// All cases, for those that refer to the file of another.
    pub set: &'a GoldenSet,
    /// The case.
    pub case: &'a GoldenCase,
    /// Where to run.
    pub session: &'a Session,
    /// How features of networks are stored.
    pub precision: Precision,
}

/// Computes the results of a case.
pub type Runner = fn(&Bench<'_>, &mut Results) -> Result<()>;
