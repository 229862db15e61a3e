//! Twin of `shaders/resize.wgsl` and `shaders/resize_gradient.wgsl`.

use super::array::Array;
use crate::engine::geometry::axis::{Axis, Resize};

/// The two source cells of output `d` with their weights.
pub(super) fn cells(axis: &Axis, d: usize) -> [(usize, f64); 2] {
    let s = match axis.align_corners {
        true => d as f64 * axis.scale,
        false => ((d as f64 + 0.5) * axis.scale - 0.5).max(0.0),
    };
    let i0 = (s.floor() as usize).min(axis.input - 1);
    let t = s - i0 as f64;
    [(i0, 1.0 - t), ((i0 + 1).min(axis.input - 1), t)]
}

/// Calls `touch` with every pair of an output and an input that touches it, and the weight.
fn pairs(op: &Resize, mut touch: impl FnMut(usize, usize, f64)) {
    let (height, width) = (op.rows.output, op.columns.output);
    for o in 0..op.outer {
        for y in 0..height {
            for x in 0..width {
                for (row, y_weight) in cells(&op.rows, y) {
                    for (column, x_weight) in cells(&op.columns, x) {
                        for i in 0..op.inner {
                            let out = ((o * height + y) * width + x) * op.inner + i;
                            let at = ((o * op.rows.input + row) * op.columns.input + column) * op.inner + i;
                            touch(out, at, y_weight * x_weight);
                        }
                    }
                }
            }
        }
    }
}

/// out\[o, y, x, i\] = Σ weight · x\[o, row, column, i\] over the four cells next to the source position, added to
/// `base` if there is one.
pub fn resize(op: &Resize, shape: &[usize], x: &Array, base: Option<&Array>) -> Array {
    let mut out = base.cloned().unwrap_or_else(|| Array::zeros(shape));
    pairs(op, |to, from, weight| out.data[to] += weight * x.data[from]);
    out
}

/// The transpose: every output's gradient goes back to its four cells.
pub fn gradient(op: &Resize, shape: &[usize], grad: &Array) -> Array {
    let mut out = Array::zeros(shape);
    pairs(op, |from, to, weight| out.data[to] += weight * grad.data[from]);
    out
}
