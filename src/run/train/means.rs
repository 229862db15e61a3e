//! The means in a line of the record.

use crate::method::StepValues;
use crate::run::record::StepRecord;

/// Means over the values of some steps, and sums of their counts; the last of them is step `n`.
pub(super) fn step_record(n: usize, values: &[StepValues], lr: f64) -> StepRecord {
    let sum = |of: &dyn Fn(&StepValues) -> f64| values.iter().map(of).sum::<f64>();
    let mean = |of: &dyn Fn(&StepValues) -> f64| sum(of) / values.len() as f64;
    let of = |list: &[(&'static str, f64)], name: &str| {
        list.iter().find(|(known, _)| *known == name).map_or(0.0, |own| own.1)
    };
    let Some(last) = values.last() else { return StepRecord::default() };
    let losses = last.losses.iter().map(|(name, _)| (*name, mean(&|step| of(&step.losses, name))));
    let empty = last.empty.iter().map(|(name, _)| (*name, sum(&|step| of(&step.empty, name)) as u64));
    StepRecord {
        step: n + 1,
        loss: std::iter::once(("total", mean(&|step| step.total))).chain(losses).collect(),
        lr,
        images_per_second: 0.0,
        empty: empty.collect(),
    }
}
