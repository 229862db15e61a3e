//! The column sums that the gradients of both normalisations are made of.

use crate::engine::graph::{Op, Tensor, TensorType};
use crate::engine::kernel::shader;
use crate::engine::kernel::{Launch, LaunchContext, Launches, Shader, Slot, Target};
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
        let expected = if self.per_row { 2 * x.shape.len() / width } else { width };
        if x != grad || statistics.shape.len() != expected {
            return Err("the shapes do not belong together".into());
        }
        Ok(TensorType::f32([2, width]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let channels = context.output.shape[1];
        let rows = context.inputs[0].shape.len() / channels;
        let lanes = Lanes::of(channels);
        let columns = channels / lanes.count;
        let (chunk, chunks) = split_rows(rows, 32, columns, context.target);
        let mut first = Launch::new(shader!("norm_sums"), columns * chunks, 1)
            .define("VALUE", lanes.value)
            .uints(&[rows, columns, chunk, chunks])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Scratch(0)]);
        if self.per_row {
            first = first.define("PER_ROW", 1);
        }
        let second = super::reduce::sum_of_chunks(chunks, 2 * channels).bind(&[Slot::Scratch(0), Slot::Output]);
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

/// What one load of a kernel takes along the last axis.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    /// Elements.
    pub count: usize,
    /// WGSL type.
    pub value: &'static str,
}

impl Lanes {
    /// Four neighbours where the extent allows, else one.
    pub(crate) fn of(extent: usize) -> Self {
        match extent.is_multiple_of(4) {
            true => Lanes { count: 4, value: "vec4<f32>" },
            false => Lanes { count: 1, value: "f32" },
        }
    }
}

/// Rows of a chunk (at least `least`, but for the last), and the number of chunks, such that `columns` sums per chunk
/// keep the device busy.
pub(crate) fn split_rows(rows: usize, least: usize, columns: usize, target: Target) -> (usize, usize) {
    let chunks = (target.busy() / columns).clamp(1, rows.div_ceil(least));
    let chunk = rows.div_ceil(chunks);
    (chunk, rows.div_ceil(chunk))
}

/// The launch of a kernel on rows of `width` elements that includes `shaders/common/rows.wgsl`.
pub(crate) fn launch_rows(shader: Shader, rows: usize, width: usize, target: Target) -> Launch {
    let lanes = target.lanes(width);
    let launch = Launch::new(shader, rows * lanes, 1).define("LANES", lanes);
    if lanes > 1 { launch.define("SHARED", 1) } else { launch }
}
