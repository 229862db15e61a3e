//! The results of a verification: one line per case, or one JSON object.

use std::fmt;

use serde::Serialize;

use super::judge::Judgement;

/// Results of all cases.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The adapter's name, or `reference`.
    pub device: String,
    /// The manifest's name of the set.
    pub set: String,
    /// Whether every case passed.
    pub passed: bool,
    /// The cases in the manifest's order.
    pub cases: Vec<CaseReport>,
}

/// Result of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// Name of the case.
    pub name: String,
    /// Its group: ops, blocks, recipe, propagation, model, pseudo, training, evaluation.
    pub group: String,
    /// Whether all results are correct.
    pub passed: bool,
    /// Tensors compared.
    pub compared: usize,
    /// The tensor nearest to its limit, or furthest beyond; none if nothing could be compared.
    pub tensor: Option<String>,
    /// Its error: |got − want| at the worst element, or the share of label elements that differ.
    pub error: Option<f64>,
    /// The largest error accepted there.
    pub limit: Option<f64>,
    /// What is wrong, one line per tensor.
    pub faults: Vec<String>,
    /// How long the case took.
    pub seconds: f64,
}

impl CaseReport {
    /// The report of a case that ran, or could not run.
    pub(super) fn new(name: &str, group: &str, judgement: crate::error::Result<Judgement>, seconds: f64) -> Self {
        let judgement = judgement.unwrap_or_else(|error| Judgement {
            faults: vec![format!("did not run: {error}")],
            ..Judgement::default()
        });
        CaseReport {
            name: name.to_owned(),
            group: group.to_owned(),
            passed: judgement.faults.is_empty(),
            compared: judgement.compared,
            tensor: judgement.worst.as_ref().map(|worst| worst.tensor.clone()),
            error: judgement.worst.as_ref().map(|worst| worst.error),
            limit: judgement.worst.as_ref().map(|worst| worst.limit),
            faults: judgement.faults,
            seconds,
        }
    }
}

impl fmt::Display for CaseReport {
    /// `name  worst error  limit  pass|FAIL  tensor`, in columns of fixed width. A failed case ends with its first
    /// fault and the number of others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2e}"));
        let (error, limit) = (number(self.error), number(self.limit));
        let verdict = if self.passed { "pass" } else { "FAIL" };
        write!(f, "{:<20}  error {error:>8}  limit {limit:>8}  {verdict}", self.name)?;
        match (self.faults.as_slice(), &self.tensor) {
            ([], Some(tensor)) => write!(f, "  {tensor}"),
            ([], None) => Ok(()),
            ([fault], _) => write!(f, "  {fault}"),
            ([fault, others @ ..], _) => write!(f, "  {fault} (and {} more)", others.len()),
        }
    }
}

impl fmt::Display for Report {
    /// One line per case, and a summary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        f.write_str(&self.summary())
    }
}

impl Report {
    /// One line: how many cases passed, where, and in how long.
    pub fn summary(&self) -> String {
        let passed = self.cases.iter().filter(|case| case.passed).count();
        let seconds: f64 = self.cases.iter().map(|case| case.seconds).sum();
        format!("{passed} of {} cases pass on {} ({seconds:.1} s)", self.cases.len(), self.device)
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::run::verify::judge::Deviation;

    #[test]
    fn a_line_has_worst_error_limit_and_fault() {
        let worst = Deviation { tensor: "a.y".into(), error: 1.25e-6, limit: 1e-4 };
        let judgement = Judgement { worst: Some(worst), faults: Vec::new(), compared: 3 };
        let right = CaseReport::new("op_linear", "ops", Ok(judgement), 0.5);
        assert_eq!(right.to_string(), "op_linear             error  1.25e-6  limit  1.00e-4  pass  a.y");
        let error = Error::Graph("no such op".into());
        let wrong = CaseReport::new("op_conv2d", "ops", Err(error), 0.25);
        let line = "op_conv2d             error        -  limit        -  FAIL  did not run: no such op";
        assert_eq!(wrong.to_string(), line);
        let report = Report { device: "reference".into(), set: "s".into(), passed: false, cases: vec![right, wrong] };
        assert_eq!(report.summary(), "1 of 2 cases pass on reference (0.8 s)");
        assert_eq!(report.to_json()["cases"][0]["limit"], 1e-4);
    }
}
