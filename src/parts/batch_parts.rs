//! Splits a batch into parts if its images are independent and a map of all of them would be large.

use std::ops::Range;

use crate::engine::graph::Tensor;
use crate::error::Result;

/// Most bytes of a map of a part: the binding size that WebGPU and Vulkan guarantee.
const PART: usize = 128 << 20;

/// Splits images into parts of nearly equal size, such that a map of `bytes` per image is within [`PART`]; at least one
/// image each.
pub(crate) fn parts(images: usize, bytes: usize) -> Vec<Range<usize>> {
    let most = (PART / bytes.max(1)).max(1);
    let size = images.div_ceil(images.div_ceil(most));
    (0..images).step_by(size).map(|first| first..(first + size).min(images)).collect()
}

/// Concatenates the parts of a batch.
pub(crate) fn together(parts: &[Tensor]) -> Result<Tensor> {
    match parts {
        [only] => Ok(only.clone()),
        parts => Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0),
    }
}

/// Applies `make` to a batch, part by part.
pub(crate) fn over_parts(images: usize, bytes: usize, make: impl Fn(Range<usize>) -> Result<Tensor>) -> Result<Tensor> {
    together(&parts(images, bytes).into_iter().map(make).collect::<Result<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: parts cover the batch in order, none is empty, and small images make one part.
    #[test]
    fn parts_cover_the_batch() {
        assert_eq!((parts(8, 1).len(), parts(8, 1)[0].clone()), (1, 0..8));
        assert_eq!(parts(8, PART / 3), [0..3, 3..6, 6..8]);
        assert_eq!(parts(3, usize::MAX), [0..1, 1..2, 2..3]);
    }
}
