//! Running every case of a set.

use std::path::Path;
use std::time::Instant;

use super::cases;
use super::cases::Bench;
use super::golden::GoldenSet;
use super::judge;
use super::judge::{Judgement, Results, Rounding};
use super::report::{CaseReport, Report};
use crate::config::Precision;
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// Runs every case of the folder `dir`, or of the set that is built in, on the session's device; `done` is called with
/// each case as it ends. Features of networks are stored in `precision`; `mixed` has separate limits
/// ([`judge::Rounding`]).
///
/// A case fails if it has no runner, cannot be recorded, or lacks a result.
///
/// # Errors
/// [`Error::Data`] naming the folder or file that is missing or broken.
pub fn run(
    dir: Option<&Path>,
    session: &Session,
    precision: Precision,
    done: impl FnMut(&CaseReport),
) -> Result<Report> {
    let set = match dir {
        Some(dir) => GoldenSet::open(dir)?,
        None => GoldenSet::built_in()?,
    };
    Ok(run_set(&set, session, precision, done))
}

/// Runs every case of a set that was read before.
pub fn run_set(set: &GoldenSet, session: &Session, precision: Precision, mut done: impl FnMut(&CaseReport)) -> Report {
    let mut cases = Vec::new();
    for case in set.cases() {
        let start = Instant::now();
        let judgement = run_case(&Bench { set, case, session, precision });
        let report = CaseReport::new(case.name(), &case.spec.group, judgement, start.elapsed().as_secs_f64());
        done(&report);
        cases.push(report);
    }
    let passed = cases.iter().all(|case| case.passed);
    Report { device: session.name().to_owned(), set: set.name.clone(), passed, cases }
}

pub(super) fn run_case(bench: &Bench<'_>) -> Result<Judgement> {
    let name = bench.case.name();
    let runner = cases::runner(name).ok_or_else(|| Error::Graph(format!("unknown case `{name}`")))?;
    let mut results = Results::default();
    runner(bench, &mut results)?;
    let rounding = match bench.precision {
        Precision::Mixed if cases::in_half(bench.case) => Rounding::Half,
        _ if bench.session.is_reference() => Rounding::Double,
        _ => Rounding::Single,
    };
    judge::judge(bench.case, &results, rounding)
}
