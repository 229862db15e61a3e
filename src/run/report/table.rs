//! Tables for the terminal, with aligned columns.

use std::fmt;

use crate::run::record::{LabelScores, Scores};

/// A table of text: the first column is left-aligned, all others right-aligned.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self::default();
        table.row(heads);
        table
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        self.rows.push(cells.into_iter().map(Into::into).collect());
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => line.push_str(&format!("{cell:<width$}")),
                    _ => line.push_str(&format!("  {cell:>width$}")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                let rules: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
                writeln!(f, "{}", rules.join("  "))?;
            }
        }
        Ok(())
    }
}

/// The scores of an evaluation in per cent: one row per class, then the means. `classes` has background first.
pub fn score_table(scores: &Scores, classes: &[String]) -> String {
    // A mean over nothing is NaN.
    let known = |fraction: Option<f64>| fraction.filter(|value| !value.is_nan());
    let percent =
        |fraction: Option<f64>| known(fraction).map_or("–".to_owned(), |value| format!("{:.1}", 100.0 * value));
    let mut table = Table::new(["IoU in %"].into_iter().chain(scores.maps.iter().map(|map| &map.title[..])));
    let mut row = |name: &str, value: &dyn Fn(&LabelScores) -> Option<f64>| {
        let cells = scores.maps.iter().map(|map| percent(value(&map.scores)));
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    for (index, class) in classes.iter().enumerate() {
        row(class, &|label| label.iou.get(index).copied().flatten());
    }
    row("mean", &|label| Some(label.miou));
    row("pixel accuracy", &|label| Some(label.pixel_accuracy));
    row("mean accuracy", &|label| Some(label.mean_accuracy));
    format!("{table}\nmulti-label F1 {} over {} images\n", percent(Some(scores.cls_f1)), scores.images)
}
