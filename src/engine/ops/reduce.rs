//! Sums, extrema and arg-max over axes.

use std::ops::Range;

use super::axes::Axes;
use super::matmul::mismatch;
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
pub use crate::engine::reference::reduce::Reduction;
use crate::error::Result;

/// Reduces neighbouring axes `first..last`, keeping them with extent 1.
#[derive(Debug)]
struct Reduce {
    reduction: Reduction,
    first: usize,
    last: usize,
}

impl Reduce {
    fn extents(&self, x: &TensorType) -> [usize; 3] {
        [
            x.shape[..self.first].iter().product(),
            x.shape[self.first..self.last].iter().product(),
            x.shape[self.last..].iter().product(),
        ]
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = inputs[0];
        if x.dtype != DType::F32 {
            return Err("takes real values".into());
        }
        // The sum of nothing is 0.
        let nothing = self.reduction != Reduction::Sum && x.shape[self.first..self.last].contains(&0);
        if nothing {
            return Err(format!("axes {}..{} hold nothing to reduce", self.first, self.last));
        }
        let mut shape = x.shape.to_vec();
        shape[self.first..self.last].fill(1);
        let dtype = if self.reduction == Reduction::ArgMax { DType::I32 } else { DType::F32 };
        Ok(TensorType { shape: shape.into(), dtype })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let (x, grad) = (&context.inputs[0], context.grad);
        let gradient = match self.reduction {
            Reduction::Sum => grad.expand(x.shape().clone())?,
            Reduction::Max | Reduction::Min => {
                let highest = if self.reduction == Reduction::Max { x.clone() } else { x.neg()? };
                let chosen = highest.reshape(self.extents(x.ty()))?.first_highest(EXACT)?;
                grad.mul(&chosen.reshape(x.shape().clone())?)?
            }
            Reduction::ArgMax => return Err(BackwardError::Undefined),
        };
        Ok(vec![Some(gradient)])
    }

    /// Long sums with few results are split into chunks of fixed size, whose results are reduced by a second launch; so are
    /// those along which nobody can walk, and positions among these.
    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let [outer, length, inner] = self.extents(context.inputs[0]);
        let kernel = |length: usize, chunk: usize, inner: usize, chunks: usize, [from, to]: [Slot; 2]| {
            let vector = inner.is_multiple_of(4);
            let per_row = if vector { inner / 4 } else { inner };
            let name = match self.reduction {
                Reduction::Sum => "SUM",
                Reduction::Max => "MAX",
                Reduction::Min => "MIN",
                Reduction::ArgMax => "ARG_MAX",
            };
            let along = inner == 1 && length.is_multiple_of(4) && chunk.is_multiple_of(4);
            let layout = match (vector, along) {
                (true, _) => "VECTOR",
                (_, true) => "ALONG",
                _ => "SCALAR",
            };
            Launch::new(shader!("reduce"), outer * chunks * per_row, 1)
                .define(name, 1)
                .define(layout, 1)
                .uints(&[outer, length, per_row, chunk, chunks])
                .bind(&[from, to])
                .fours(&match layout {
                    "VECTOR" if self.reduction != Reduction::ArgMax => vec![from, to],
                    "VECTOR" | "ALONG" => vec![from],
                    _ => Vec::new(),
                })
        };
        let parallel = outer * inner;
        let is_position = self.reduction == Reduction::ArgMax;
        let splittable = !is_position && length >= 256 && parallel < context.target.busy();
        let chunks = match splittable {
            true => (context.target.busy() / parallel).clamp(2, length.div_ceil(32)),
            false => 1,
        };
        let chunk = length.div_ceil(chunks).min(LONGEST).next_multiple_of(4);
        if !splittable && length <= LONGEST {
            return kernel(length, length, inner, 1, [Slot::Input(0), Slot::Output]).into();
        }
        let chunks = length.div_ceil(chunk);
        let first = kernel(length, chunk, inner, chunks, [Slot::Input(0), Slot::Scratch(0)]);
        let second = match is_position {
            true => Launch::new(shader!("reduce_positions"), parallel, 1)
                .uints(&[outer, length, inner, chunks])
                .bind(&[Slot::Input(0), Slot::Scratch(0), Slot::Output]),
            false => kernel(chunks, chunks, inner, 1, [Slot::Scratch(0), Slot::Output]),
        };
        Launches { list: vec![first, second], scratch: vec![outer * chunks * inner] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let ty = TensorType::f32(&inputs[0].shape[..]);
        let mut shape = inputs[0].shape.clone();
        shape[self.first..self.last].fill(1);
        vec![reference::reduce::reduce(self.reduction, inputs[0], &shape, self.extents(&ty))]
    }
}

/// Elements along which one invocation walks, at most: it takes five turns for four of them.
const LONGEST: usize = MOST_TURNS / 4 * 3;

/// Positions below this are exact as real numbers.
const EXACT: usize = 1 << 24;

/// The launch that adds `chunks` partial sums of `inner` values each in the scratch buffer, in order.
pub(crate) fn sum_of_chunks(chunks: usize, inner: usize) -> Launch {
    let (layout, per_row) = if inner.is_multiple_of(4) { ("VECTOR", inner / 4) } else { ("SCALAR", inner) };
    let launch = Launch::new(shader!("reduce"), per_row, 1)
        .define("SUM", 1)
        .define(layout, 1)
        .uints(&[1, chunks, per_row, chunks, 1])
        .bind(&[Slot::Scratch(0), Slot::Output]);
    if layout == "VECTOR" { launch.fours(&[Slot::Output]) } else { launch }
}

/// Methods of a reduction over any axes: one that drops them and one that keeps them.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident, $keep:ident = $reduction:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the axes do not exist, or the tensor is not real; for extrema, if the axes hold nothing.
            #[track_caller]
            pub fn $name(&self, axes: impl Into<Axes>) -> Result<Tensor> {
                self.reduce($reduction, &axes.into(), false)
            }

            #[doc = concat!("As [`Tensor::", stringify!($name), "`], but the axes stay, with extent 1.")]
            ///
            /// # Errors
            /// If the axes do not exist, or the tensor is not real; for extrema, if the axes hold nothing.
            #[track_caller]
            pub fn $keep(&self, axes: impl Into<Axes>) -> Result<Tensor> {
                self.reduce($reduction, &axes.into(), true)
            }
        )*}
    };
}

methods! {
    /// Σ x over `axes`, which are dropped; the sum of nothing is 0.
    sum, sum_keep = Reduction::Sum;
    /// max x over `axes`, which are dropped; ties give the gradient to the first.
    max, max_keep = Reduction::Max;
    /// min x over `axes`, which are dropped; ties give the gradient to the first.
    min, min_keep = Reduction::Min;
}

impl Tensor {
    /// Reduces runs of neighbouring axes, the innermost first.
    #[track_caller]
    fn reduce(&self, reduction: Reduction, axes: &Axes, keep: bool) -> Result<Tensor> {
        let axes = self.axes("reduce", axes)?;
        // Without axes nothing is recorded that would refuse them.
        if self.dtype() != DType::F32 {
            return Err(mismatch("reduce", &[self], "takes real values"));
        }
        let mut reduced = self.clone();
        for run in axes.chunk_by(|one, next| one + 1 == *next).rev() {
            reduced = reduced.reduce_run(reduction, run[0]..run[0] + run.len())?;
        }
        if keep || axes.is_empty() {
            return Ok(reduced);
        }
        let left = self.shape().iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        reduced.reshape(left.map(|(_, &extent)| extent).collect::<Vec<_>>())
    }

    /// Reduces neighbouring axes, which stay with extent 1.
    #[track_caller]
    fn reduce_run(&self, reduction: Reduction, axes: Range<usize>) -> Result<Tensor> {
        Tensor::record(Reduce { reduction, first: axes.start, last: axes.end }, &[self])
    }

    /// 1 at the first maximum along the middle axis of \[outer, length, inner\], 0 elsewhere. An axis longer than `most`
    /// is searched in parts, so that a position is a small number.
    #[track_caller]
    fn first_highest(&self, most: usize) -> Result<Tensor> {
        let [outer, length, inner] = self.extents()?;
        if length <= most {
            let position = self.reduce_run(Reduction::ArgMax, 1..2)?;
            let index: Vec<_> = (0..length).map(|index| index as f64).collect();
            return position.equal(&self.graph().constant(&index, [length, 1]));
        }
        let highest = self.reduce_run(Reduction::Max, 1..2)?;
        let mut free = self.graph().full(1.0, [outer, 1, inner])?;
        let mut parts = Vec::new();
        for start in (0..length).step_by(most) {
            let part = self.slice(1, start..length.min(start + most))?;
            let here = part.reduce_run(Reduction::Max, 1..2)?.equal(&highest)?.mul(&free)?;
            parts.push(part.first_highest(most)?.mul(&here)?);
            free = free.sub(&here)?;
        }
        Tensor::concat(&parts.iter().collect::<Vec<_>>(), 1)
    }

    /// Mean over `axes`, which are dropped: the sum divided by the number of elements, as `/` divides.
    ///
    /// # Errors
    /// If the axes do not exist or are empty, or the tensor is not real.
    #[track_caller]
    pub fn mean(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        self.mean_of(&axes.into(), false)
    }

    /// As [`Tensor::mean`], but the axes stay, with extent 1.
    ///
    /// # Errors
    /// If the axes do not exist or are empty, or the tensor is not real.
    #[track_caller]
    pub fn mean_keep(&self, axes: impl Into<Axes>) -> Result<Tensor> {
        self.mean_of(&axes.into(), true)
    }

    #[track_caller]
    fn mean_of(&self, axes: &Axes, keep: bool) -> Result<Tensor> {
        let count: usize = self.axes("reduce", axes)?.iter().map(|&axis| self.shape()[axis]).product();
        if count == 0 {
            return Err(mismatch("reduce", &[self], "there is no mean of nothing"));
        }
        self.reduce(Reduction::Sum, axes, keep)?.quotient(count as f64)
    }

    /// Σ over all elements, without axes.
    ///
    /// # Errors
    /// If the tensor is not real.
    #[track_caller]
    pub fn sum_all(&self) -> Result<Tensor> {
        self.reshape([self.shape().len()])?.reduce_run(Reduction::Sum, 0..1)?.reshape([])
    }

    /// Mean over all elements, without axes: their sum divided by their number, as `/` divides.
    ///
    /// # Errors
    /// If the tensor is not real or holds nothing.
    #[track_caller]
    pub fn mean_all(&self) -> Result<Tensor> {
        if self.shape().is_empty() {
            return Err(mismatch("reduce", &[self], "there is no mean of nothing"));
        }
        self.sum_all()?.quotient(self.shape().len() as f64)
    }

    /// Index of the first maximum along `axis`, which is dropped.
    ///
    /// # Errors
    /// If the axis does not exist or is empty, or the tensor is not real.
    #[track_caller]
    pub fn arg_max(&self, axis: isize) -> Result<Tensor> {
        self.reduce(Reduction::ArgMax, &axis.into(), false)
    }

    /// As [`Tensor::arg_max`], but the axis stays, with extent 1.
    ///
    /// # Errors
    /// If the axis does not exist or is empty, or the tensor is not real.
    #[track_caller]
    pub fn arg_max_keep(&self, axis: isize) -> Result<Tensor> {
        self.reduce(Reduction::ArgMax, &axis.into(), true)
    }

    /// Sums a gradient down to the shape that was broadcast to it.
    pub(crate) fn sum_to(&self, shape: &[usize]) -> Result<Tensor> {
        let mut sum = self.clone();
        let missing = self.shape().rank() - shape.len();
        let mut end = self.shape().rank();
        // Runs of neighbouring broadcast axes are summed together, innermost first.
        while end > 0 {
            let repeated =
                |axis: usize| self.shape()[axis] != 1 && axis.checked_sub(missing).is_none_or(|own| shape[own] == 1);
            if !repeated(end - 1) {
                end -= 1;
                continue;
            }
            let mut start = end - 1;
            while start > 0 && repeated(start - 1) {
                start -= 1;
            }
            sum = sum.reduce_run(Reduction::Sum, start..end)?;
            end = start;
        }
        if sum.shape()[..] == *shape { Ok(sum) } else { sum.reshape(shape) }
    }
}
