//! Strided reads, of which permutations, slices, padding and flips are cases.

use std::ops::Range;

use crate::engine::types::Shape;

/// A strided read: out\[c\] = x\[offset + Σ c·stride\] where every coordinate is `valid`, 0 elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// The output's extents.
    pub shape: Shape,
    /// First element read.
    pub offset: i64,
    /// Step in the input along every output axis.
    pub strides: Vec<i64>,
    /// Ranges of output coordinates that have a source.
    pub valid: Vec<Range<usize>>,
}

impl Gather {
    /// Reads a tensor as it is.
    pub(crate) fn whole(shape: &Shape) -> Self {
        Gather {
            shape: shape.clone(),
            offset: 0,
            strides: shape.strides().into_iter().map(|stride| stride as i64).collect(),
            valid: shape.iter().map(|&extent| 0..extent).collect(),
        }
    }
}
