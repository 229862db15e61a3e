//! Copies that rearrange: permute, slice, pad, flip, concatenate.

use std::ops::Range;
use std::sync::Arc;

pub use crate::engine::geometry::gather::Gather;
use crate::engine::graph::{Backward, BackwardError, DType, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// One rearrangement of one tensor.
#[derive(Clone, Debug)]
enum Move {
    /// Output axis `i` is input axis `order[i]`.
    Permute(Vec<usize>),
    /// Keeps `range` of `axis`.
    Slice { axis: usize, range: Range<usize> },
    /// Places the tensor at `start` of an axis of extent `extent`, with zeros around it.
    Pad { axis: usize, start: usize, extent: usize },
    /// Reverses `axis`.
    Flip(usize),
}

impl Move {
    fn gather(&self, x: &Shape) -> Result<Gather, String> {
        let check = |axis: usize| if axis < x.rank() { Ok(()) } else { Err(format!("there is no axis {axis}")) };
        let signed = |strides: Vec<usize>| strides.into_iter().map(|stride| stride as i64).collect::<Vec<_>>();
        let (mut shape, mut strides, mut offset) = (x.to_vec(), signed(x.strides()), 0);
        let mut valid: Option<(usize, Range<usize>)> = None;
        match self {
            Move::Permute(order) => {
                let mut seen = order.clone();
                seen.sort_unstable();
                if !seen.iter().copied().eq(0..x.rank()) {
                    return Err(format!("{order:?} is not a permutation of its axes"));
                }
                shape = order.iter().map(|&axis| x[axis]).collect();
                strides = order.iter().map(|&axis| strides[axis]).collect();
            }
            Move::Slice { axis, range } => {
                check(*axis)?;
                if range.end > x[*axis] || range.start > range.end {
                    return Err(format!("{range:?} is out of range for axis {axis}"));
                }
                shape[*axis] = range.len();
                offset = range.start as i64 * strides[*axis];
            }
            Move::Pad { axis, start, extent } => {
                check(*axis)?;
                let end = start.checked_add(x[*axis]).filter(|end| end <= extent);
                let end = end.ok_or_else(|| format!("does not fit at {start} into an axis of extent {extent}"))?;
                valid = Some((*axis, *start..end));
                shape[*axis] = *extent;
                if Shape::from(&shape[..]).is_boundless() {
                    return Err(format!("an axis of {extent} has more elements than any device holds"));
                }
                offset = -(*start as i64) * strides[*axis];
            }
            Move::Flip(axis) => {
                check(*axis)?;
                offset = (x[*axis] as i64 - 1) * strides[*axis];
                strides[*axis] *= -1;
            }
        }
        let mut ranges: Vec<_> = shape.iter().map(|&extent| 0..extent).collect();
        if let Some((axis, range)) = valid {
            ranges[axis] = range;
        }
        Ok(Gather { shape: shape.into(), offset, strides, valid: ranges })
    }

    fn inverse(&self, x: &Shape) -> Move {
        match self {
            Move::Permute(order) => {
                let mut inverse = vec![0; order.len()];
                for (to, &from) in order.iter().enumerate() {
                    inverse[from] = to;
                }
                Move::Permute(inverse)
            }
            Move::Slice { axis, range } => Move::Pad { axis: *axis, start: range.start, extent: x[*axis] },
            Move::Pad { axis, start, .. } => Move::Slice { axis: *axis, range: *start..start + x[*axis] },
            Move::Flip(axis) => Move::Flip(*axis),
        }
    }
}

/// The op that copies a tensor of so many axes, real or not.
pub(crate) fn copied(rank: usize) -> Arc<dyn Op> {
    Arc::new(Movement(Move::Permute((0..rank).collect())))
}

/// Axes that the kernel walks, at most.
const MAX_AXES: usize = 4;

/// An axis of a copy.
#[derive(Clone, Copy, PartialEq)]
struct Axis {
    extent: i64,
    /// Step in the input.
    from: i64,
    /// Step in the output.
    to: i64,
    /// First valid coordinate.
    low: i64,
    /// End of the valid coordinates.
    high: i64,
}

/// The axes of `gather` written with `out_strides`, with contiguous neighbours merged. At least one.
fn axes(gather: &Gather, out_strides: &[usize]) -> Vec<Axis> {
    let mut merged: Vec<Axis> = Vec::new();
    // An axis of one element is left out, except where it was padded from nothing and so holds a zero.
    let counts = |&(index, &extent): &(usize, &usize)| extent != 1 || gather.valid[index] != (0..1);
    for (index, &extent) in gather.shape.iter().enumerate().filter(counts) {
        let (extent, from, to) = (extent as i64, gather.strides[index], out_strides[index] as i64);
        let (low, high) = (gather.valid[index].start as i64, gather.valid[index].end as i64);
        match merged.last_mut() {
            Some(outer) if outer.from == from * extent && outer.to == to * extent && (low, high) == (0, extent) => {
                let scaled = |value: i64| value * extent;
                let (low, high) = (scaled(outer.low), scaled(outer.high));
                *outer = Axis { extent: scaled(outer.extent), from, to, low, high };
            }
            _ => merged.push(Axis { extent, from, to, low, high }),
        }
    }
    if merged.is_empty() {
        merged.push(Axis { extent: 1, from: 1, to: 1, low: 0, high: 1 });
    }
    merged
}

/// The launch that copies `gather` of input `slot` to the output at `out_offset` with `out_strides`.
pub(super) fn copy(slot: usize, gather: &Gather, dtype: DType, out_offset: usize, out_strides: &[usize]) -> Launch {
    let mut axes = axes(gather, out_strides);
    let count: i64 = axes.iter().map(|axis| axis.extent).product();
    let (mut offset, mut out_offset) = (gather.offset, out_offset as i64);
    let by_four = |value: i64| value % 4 == 0;
    let (inner, outer) = (axes[axes.len() - 1], &axes[..axes.len() - 1]);
    let vector = (inner.from, inner.to) == (1, 1)
        && [inner.extent, inner.low, inner.high, offset, out_offset].into_iter().all(by_four)
        && outer.iter().all(|axis| by_four(axis.from) && by_four(axis.to));
    let mut step = 1;
    let in_order = axes.iter().rev().all(|axis| {
        let fits = axis.to == step;
        step *= axis.extent;
        fits
    });
    let linear = !vector && in_order && by_four(count) && by_four(out_offset);
    let last = axes.len() - 1;
    if vector {
        for (index, axis) in axes.iter_mut().enumerate() {
            *axis = match index == last {
                true => Axis { extent: axis.extent / 4, low: axis.low / 4, high: axis.high / 4, ..*axis },
                false => Axis { from: axis.from / 4, to: axis.to / 4, ..*axis },
            };
        }
        offset /= 4;
    }
    if vector || linear {
        out_offset /= 4;
    }

    let invocations = if vector || linear { count / 4 } else { count };
    let (element, wide) = (dtype.wgsl(), format!("vec4<{}>", dtype.wgsl()));
    let mut launch = Launch::new(shader!("movement"), invocations as usize, 1)
        .define("ELEMENT", if vector { &wide } else { element })
        .define("RESULT", if vector || linear { &wide } else { element })
        .bind(&[Slot::Input(slot), Slot::Output]);
    if linear {
        launch = launch.define("LINEAR", 1);
    }
    if dtype == DType::F32 {
        launch = launch.fours(&match (vector, linear) {
            (true, _) => vec![Slot::Input(slot), Slot::Output],
            (_, true) => vec![Slot::Output],
            _ => Vec::new(),
        });
    }
    let whole = Axis { extent: 1, from: 0, to: 0, low: 0, high: 1 };
    let four: Vec<_> = std::iter::repeat_n(whole, MAX_AXES - axes.len()).chain(axes.iter().copied()).collect();
    let fields: [fn(&Axis) -> i64; 5] =
        [|axis| axis.extent, |axis| axis.from, |axis| axis.to, |axis| axis.low, |axis| axis.high];
    for field in fields {
        launch.params.extend(four.iter().map(|axis| field(axis) as u32));
    }
    launch.params.extend([offset, out_offset, axes.len() as i64, invocations].map(|value| value as u32));
    launch
}

/// A rearrangement recorded as a node.
#[derive(Debug)]
struct Movement(Move);

impl Op for Movement {
    fn name(&self) -> &'static str {
        "movement"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let gather = self.0.gather(&inputs[0].shape)?;
        if axes(&gather, &gather.shape.strides()).len() > MAX_AXES {
            return Err(format!("moves more than {MAX_AXES} groups of neighbouring axes"));
        }
        Ok(TensorType { shape: gather.shape, dtype: inputs[0].dtype })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let inverse = self.0.inverse(context.inputs[0].shape());
        Ok(vec![Some(Tensor::record(Movement(inverse), &[context.grad])?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        match self.0.gather(&context.inputs[0].shape) {
            Ok(gather) => copy(0, &gather, context.output.dtype, 0, &context.output.shape.strides()).into(),
            Err(_) => unreachable!("the shape rule accepted it"),
        }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        match self.0.gather(&inputs[0].shape[..].into()) {
            Ok(gather) => vec![reference::movement::gather(&gather, inputs[0])],
            Err(_) => unreachable!("the shape rule accepted it"),
        }
    }
}

/// Tensors one after another along an axis.
#[derive(Debug)]
struct Concat {
    axis: usize,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let mut shape = inputs[0].shape.to_vec();
        if self.axis >= shape.len() {
            return Err(format!("there is no axis {}", self.axis));
        }
        for other in &inputs[1..] {
            let mut expected = inputs[0].shape.to_vec();
            expected[self.axis] = *other.shape.get(self.axis).unwrap_or(&0);
            if other.shape[..] != expected || other.dtype != inputs[0].dtype {
                return Err(format!("the operands differ in more than axis {}", self.axis));
            }
            shape[self.axis] += expected[self.axis];
        }
        Ok(TensorType { shape: shape.into(), dtype: inputs[0].dtype })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let mut start = 0;
        let mut parts = Vec::new();
        for input in context.inputs {
            let end = start + input.shape()[self.axis];
            parts.push(Some(context.grad.slice(self.axis as isize, start..end)?));
            start = end;
        }
        Ok(parts)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let strides = context.output.shape.strides();
        let mut start = 0;
        let mut launches = Launches::default();
        for (slot, input) in context.inputs.iter().enumerate().filter(|(_, input)| !input.shape.is_empty()) {
            let whole = Gather::whole(&input.shape);
            let offset = start * strides[self.axis];
            launches.list.push(copy(slot, &whole, context.output.dtype, offset, &strides));
            start += input.shape[self.axis];
        }
        launches
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let outer: usize = inputs[0].shape[..self.axis].iter().product();
        let mut shape = inputs[0].shape.clone();
        shape[self.axis] = inputs.iter().map(|input| input.shape[self.axis]).sum();
        let mut data = Vec::new();
        for o in 0..outer {
            for input in inputs {
                let run = input.data.len() / outer;
                data.extend_from_slice(&input.data[o * run..(o + 1) * run]);
            }
        }
        vec![Array::new(&shape, data)]
    }
}

impl Tensor {
    /// Output axis `i` is input axis `order[i]`.
    ///
    /// # Errors
    /// If `order` is not a permutation of the axes, or there are more than four groups of axes that stay neighbours.
    #[track_caller]
    pub fn permute(&self, order: &[isize]) -> Result<Tensor> {
        let mut axes = Vec::with_capacity(order.len());
        for &axis in order {
            axes.push(self.axis("movement", axis)?);
        }
        Tensor::record(Movement(Move::Permute(axes)), &[self])
    }

    /// The part `range` of `axis`.
    ///
    /// # Errors
    /// If the range is not within the axis.
    #[track_caller]
    pub fn slice(&self, axis: isize, range: Range<usize>) -> Result<Tensor> {
        let axis = self.axis("movement", axis)?;
        if range == (0..self.shape()[axis]) {
            return Ok(self.clone());
        }
        Tensor::record(Movement(Move::Slice { axis, range }), &[self])
    }

    /// The tensor at `start` of an axis of `extent`, with zeros around it.
    ///
    /// # Errors
    /// If it does not fit.
    #[track_caller]
    pub fn pad(&self, axis: isize, start: usize, extent: usize) -> Result<Tensor> {
        let axis = self.axis("movement", axis)?;
        Tensor::record(Movement(Move::Pad { axis, start, extent }), &[self])
    }

    /// The tensor with `axis` reversed.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn flip(&self, axis: isize) -> Result<Tensor> {
        let axis = self.axis("movement", axis)?;
        Tensor::record(Movement(Move::Flip(axis)), &[self])
    }

    /// Concatenates `parts` along `axis`.
    ///
    /// # Errors
    /// If there is no such axis, or they differ in more than that one.
    #[track_caller]
    pub fn concat(parts: &[&Tensor], axis: isize) -> Result<Tensor> {
        let axis = match parts.first() {
            Some(first) => first.axis("concat", axis)?,
            None => 0,
        };
        Tensor::record(Concat { axis }, parts)
    }
}
