//! The memory of a plan as a table.

use std::collections::BTreeMap;

use super::table::Table;
use crate::engine::gpu::{Plan, Value, mebibytes};

/// Most rows of each table.
const ROWS: usize = 10;

/// The memory of a plan: its parts, the lines of code whose values are alive at its peak, and the largest of these
/// values.
pub fn memory_table(plan: &Plan) -> String {
    let (step, peak) = plan.peak();
    let mut parts = Table::new(["memory of a step", "MiB"]);
    for (part, bytes) in [
        ("states: parameters, moments, statistics", plan.states),
        ("inputs and constants", plan.inputs),
        ("pool of buffers", plan.pool.iter().sum()),
        ("together", plan.bytes()),
        ("largest buffer", plan.largest()),
    ] {
        parts.row([part.to_owned(), in_table(bytes)]);
    }

    let alive = plan.alive(step);
    let maker = |value: &Value| &plan.steps[*value.life.start()];
    let mut lines: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for value in &alive {
        let step = maker(value);
        let line = lines.entry(format!("{} at {}", step.name, step.at)).or_default();
        *line = (line.0 + 1, line.1 + value.bytes);
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(*bytes));
    let mut makers = Table::new(["alive at the peak, by recording line", "values", "MiB"]);
    for (line, (count, bytes)) in lines.into_iter().take(ROWS) {
        makers.row([line, count.to_string(), in_table(bytes)]);
    }

    let mut largest = Table::new(["largest values alive at the peak", "computed in step", "last read in", "MiB"]);
    for value in alive.iter().take(ROWS) {
        let step = maker(value);
        largest.row([
            format!("{} at {}", step.name, step.at),
            value.life.start().to_string(),
            value.life.end().to_string(),
            in_table(value.bytes),
        ]);
    }
    let at = &plan.steps.get(step).map_or("nothing", |step| step.name);
    let steps = plan.steps.len();
    format!(
        "{parts}\nPeak of the pool: {:.1} MiB, in step {step} of {steps} ({at}).\n\n{makers}\n{largest}",
        mebibytes(peak)
    )
}

/// Bytes as text of a column.
fn in_table(bytes: u64) -> String {
    format!("{:.1}", mebibytes(bytes))
}
