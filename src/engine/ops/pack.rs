//! Several tensors as one, so that one dispatch can read them all.

use std::ops::Range;

use super::matmul::mismatch;
use super::movement::{Gather, copy};
use crate::engine::graph::{DType, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches, Packing};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Tensors packed into one according to their [`Packing`]. The contents of the gaps are undefined.
#[derive(Debug)]
struct Pack;

/// The packing of values of these types.
fn packing(inputs: &[&TensorType]) -> Packing {
    Packing::of(inputs.iter().map(|input| input.shape.len()))
}

impl Op for Pack {
    fn name(&self) -> &'static str {
        "pack"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32([packing(inputs).len]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let starts = packing(context.inputs).starts;
        let copies = context.inputs.iter().zip(starts).enumerate().map(|(slot, (input, start))| {
            let flat = Gather::whole(&Shape::from([input.shape.len()]));
            copy(slot, &flat, input.dtype, start, &[1])
        });
        Launches { list: copies.collect(), scratch: Vec::new() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let packing = Packing::of(inputs.iter().map(|input| input.data.len()));
        vec![reference::pack::pack(inputs, &packing.starts, packing.len)]
    }

    fn packing(&self, inputs: &[&TensorType]) -> Option<Packing> {
        Some(packing(inputs))
    }
}

/// Real tensors packed into one or a few values. A device computes them in place if it can, and else copies them.
pub struct Packed {
    /// The values, with the tensors in each.
    pub(super) parts: Vec<(Range<usize>, Tensor)>,
    /// All tensors.
    pub(super) tensors: Vec<Tensor>,
}

/// Most elements of a value, unless one tensor is larger: 4 MiB. That is enough work to outweigh the cost of a
/// dispatch, and small enough to fit between other values.
const PART: usize = 1 << 20;

impl Packed {
    /// Records the packing of `tensors`.
    ///
    /// # Errors
    /// If one is not real, or they belong to different graphs.
    #[track_caller]
    pub fn new(tensors: &[Tensor]) -> Result<Self> {
        if let Some(other) = tensors.iter().find(|tensor| tensor.dtype() != DType::F32) {
            return Err(mismatch("pack", &[other], "only real tensors are packed"));
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for next in 0..tensors.len() {
            let len =
                |range: &Range<usize>| Packing::of(tensors[range.start..=next].iter().map(|x| x.shape().len())).len;
            match ranges.last_mut() {
                Some(range) if len(range) <= PART => range.end = next + 1,
                _ => ranges.push(next..next + 1),
            }
        }
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let values = match &tensors[range.clone()] {
                // AdamW writes states: it cannot read them in place as gradients.
                [only] if !only.lies_in_state() => only.reshape([only.shape().len()])?,
                several => Tensor::record(Pack, &several.iter().collect::<Vec<_>>())?,
            };
            parts.push((range, values));
        }
        Ok(Packed { parts, tensors: tensors.to_vec() })
    }

    /// The values that hold the tensors, in order.
    pub fn values(&self) -> Vec<&Tensor> {
        self.parts.iter().map(|(_, values)| values).collect()
    }

    /// The same packing of other values, one for each of [`Packed::values`] and of its shape.
    ///
    /// # Errors
    /// If there is not one for each, or a shape differs.
    #[track_caller]
    pub(crate) fn with_values(&self, values: Vec<Tensor>) -> Result<Self> {
        let fit = values.iter().zip(&self.parts).all(|(new, (_, old))| new.ty() == old.ty());
        if values.len() != self.parts.len() || !fit {
            return Err(mismatch("pack", &values.iter().collect::<Vec<_>>(), "these are not values of the packing"));
        }
        let ranges = self.parts.iter().map(|(range, _)| range.clone());
        Ok(Packed { parts: ranges.zip(values).collect(), tensors: self.tensors.clone() })
    }

    /// The number of tensors.
    #[expect(clippy::len_without_is_empty, reason = "an empty list is useless")]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// The packing of some of the tensors, with the offset of the first.
    pub(super) fn packing(&self, range: Range<usize>) -> Packing {
        Packing::of(self.tensors[range].iter().map(|tensor| tensor.shape().len()))
    }
}
