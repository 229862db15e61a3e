//! Twins of `shaders/softmax.wgsl` and `softmax_gradient.wgsl`.

use super::array::Array;

/// y = softmax(scale · x) over the last axis, of extent `width`.
pub fn softmax(x: &Array, width: usize, scale: f64) -> Array {
    let mut y = x.clone();
    for row in y.data.chunks_mut(width) {
        let m = row.iter().fold(f64::NEG_INFINITY, |m, value| m.max(scale * value));
        let total: f64 = row.iter().map(|value| (scale * value - m).exp()).sum();
        for value in row {
            *value = (scale * *value - m).exp() / total;
        }
    }
    y
}

/// dx = scale · y · (grad − Σ grad · y)
pub fn gradient(y: &Array, grad: &Array, width: usize, scale: f64) -> Array {
    let mut dx = Array::zeros(&y.shape);
    for start in (0..y.data.len()).step_by(width) {
        let sum: f64 = (start..start + width).map(|at| grad.data[at] * y.data[at]).sum();
        for at in start..start + width {
            dx.data[at] = scale * y.data[at] * (grad.data[at] - sum);
        }
    }
    dx
}
