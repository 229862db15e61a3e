//! The column sums in the gradients of both normalisations.

use super::rows::ColumnSums;
use crate::engine::graph::{Op, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// (Σ grad · (x − mean) · rstd, Σ grad) over all rows of x and grad \[…, C\], as \[2, C\].
#[derive(Debug)]
struct NormSums {
    /// Statistics are (mean, rstd) of every row; otherwise the mean of every column, and rstd is 1.
    per_row: bool,
}

impl Op for NormSums {
    fn name(&self) -> &'static str {
        "norm_sums"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [x, statistics, grad] = inputs else { return Err("takes x, statistics and grad".into()) };
        let width = x.shape.last().copied().unwrap_or(1);
        let expected = if self.per_row { 2 * x.shape.len() / width.max(1) } else { width };
        if x != grad || statistics.shape.len() != expected {
            return Err("the shapes do not match".into());
        }
        Ok(TensorType::f32([2, width]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let channels = context.output.shape[1];
        let sums = ColumnSums::of(context.inputs[0].shape.len(), channels, context.target);
        let ColumnSums { lanes, chunks, .. } = sums;
        let first = sums.launch(shader!("norm_sums"), sums.columns * chunks).bind(&[
            Slot::Input(0),
            Slot::Input(1),
            Slot::Input(2),
            Slot::Scratch(0),
        ]);
        let first = match self.per_row {
            true => lanes.of_launch(first.define("PER_ROW", 1), &[Slot::Input(0), Slot::Input(2)]),
            false => lanes.of_launch(first, &[Slot::Input(0), Slot::Input(1), Slot::Input(2)]),
        };
        let second = super::reduce::sum_of_chunks(chunks, 2 * channels);
        Launches { list: vec![first, second], scratch: vec![chunks * 2 * channels] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let width = inputs[0].shape.last().copied().unwrap_or(1);
        vec![reference::norm_sums::norm_sums(inputs[0], inputs[1], inputs[2], width, self.per_row)]
    }
}

/// The two sums, each \[C\]: Σ grad · (x − mean) · rstd and Σ grad.
#[track_caller]
pub(crate) fn norm_sums(x: &Tensor, statistics: &Tensor, grad: &Tensor, per_row: bool) -> Result<[Tensor; 2]> {
    let sums = Tensor::record(NormSums { per_row }, &[x, statistics, grad])?;
    let width = sums.shape()[1];
    Ok([sums.slice(0, 0..1)?.reshape([width])?, sums.slice(0, 1..2)?.reshape([width])?])
}
