//! Twin of `shaders/matmul.wgsl`.

use super::array::Array;
use crate::engine::geometry::matrix::{MatMul, MatrixView};

/// out\[b, i, j\] = bias\[j\] + Σ_k a\[b, i, k\] · b\[b, k, j\], every operand read through its strides.
pub fn matmul(op: &MatMul, a: &Array, b: &Array, bias: Option<&Array>) -> Array {
    let mut out = Array::zeros(&op.shape);
    for batch0 in 0..op.batch[0] {
        for batch1 in 0..op.batch[1] {
            let start = |view: &MatrixView| view.batch[0] * batch0 + view.batch[1] * batch1;
            let (a_start, b_start, out_start) = (start(&op.a), start(&op.b), start(&op.out));
            for i in 0..op.m {
                for j in 0..op.n {
                    let mut sum = bias.map_or(0.0, |bias| bias.data[j]);
                    for k in 0..op.k {
                        sum += a.data[a_start + i * op.a.row + k * op.a.column]
                            * b.data[b_start + k * op.b.row + j * op.b.column];
                    }
                    out.data[out_start + i * op.out.row + j * op.out.column] = sum;
                }
            }
        }
    }
    out
}
