//! Strided matrices in tensors, and their products.

use crate::engine::types::Shape;

/// The layout of a matrix in a tensor: element strides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MatrixView {
    /// Steps along the two batch axes.
    pub batch: [usize; 2],
    /// Step to the next row.
    pub row: usize,
    /// Step to the next column.
    pub column: usize,
}

impl MatrixView {
    pub(crate) fn transposed(self) -> Self {
        MatrixView { row: self.column, column: self.row, ..self }
    }

    /// Whether four neighbours along the axis of step 1 may be loaded at once, given that axis' extent.
    pub(crate) fn aligned(&self, extent: usize, other: usize) -> bool {
        [extent, other, self.batch[0], self.batch[1]].into_iter().all(|value| value.is_multiple_of(4))
    }
}

/// out\[b, i, j\] = bias\[j\] + Σ_k a\[b, i, k\] · b\[b, k, j\], b over both batch axes.
///
/// Every view covers its tensor exactly once, so that the gradients are products of the same kind.
#[derive(Clone, Debug)]
pub struct MatMul {
    /// Rows of the product.
    pub m: usize,
    /// Columns of the product.
    pub n: usize,
    /// Length of every sum.
    pub k: usize,
    /// Extents of the batch axes.
    pub batch: [usize; 2],
    /// First operand, \[m, k\].
    pub a: MatrixView,
    /// Second operand, \[k, n\].
    pub b: MatrixView,
    /// Result, \[m, n\].
    pub out: MatrixView,
    /// The result's shape.
    pub shape: Shape,
}
