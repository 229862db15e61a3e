//! The means that a line of the record holds.

use super::trainer::StepValues;
use crate::run::report::{EmptyMasks, Losses, StepRecord};

/// Means over the steps of a window that ends with step `n`.
pub(super) fn step_record(n: usize, values: &[StepValues], lr: f64) -> StepRecord {
    let sum = |of: fn(&StepValues) -> f64| values.iter().map(of).sum::<f64>();
    let mean = |of: fn(&StepValues) -> f64| sum(of) / values.len() as f64;
    StepRecord {
        step: n + 1,
        loss: Losses {
            total: mean(|v| v.total),
            cls: mean(|v| v.cls),
            c2s: mean(|v| v.c2s),
            s2c: mean(|v| v.s2c),
            aff: mean(|v| v.aff),
        },
        lr,
        images_per_second: 0.0,
        empty: EmptyMasks { c2s: sum(|v| v.c2s_empty) as u64, s2c: sum(|v| v.s2c_empty) as u64 },
    }
}
