//! Twins of `shaders/layer_norm.wgsl`, `layer_norm_statistics.wgsl` and `layer_norm_gradient.wgsl`.

use super::array::Array;

/// (mean, 1 / √(variance + eps)) of every row of x \[…, C\].
pub fn statistics(x: &Array, eps: f64) -> Array {
    let mut shape = x.shape.clone();
    let width = shape.last_mut().map_or(1, |last| std::mem::replace(last, 2));
    let mut statistics = Vec::with_capacity(shape.iter().product());
    for row in x.data.chunks(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / width as f64;
        statistics.extend([mean, 1.0 / (variance + eps).sqrt()]);
    }
    Array::new(&shape, statistics)
}

/// y = (x − mean) · rstd · gamma + beta
pub fn layer_norm(x: &Array, statistics: &Array, gamma: &Array, beta: &Array) -> Array {
    let width = gamma.data.len();
    Array::from_fn(&x.shape, |index| {
        let (row, c) = (index / width, index % width);
        let (mean, rstd) = (statistics.data[2 * row], statistics.data[2 * row + 1]);
        (x.data[index] - mean) * rstd * gamma.data[c] + beta.data[c]
    })
}

/// dx = rstd · (h − mean(h) − z · mean(h·z)), h = grad · gamma, z = (x − mean) · rstd
pub fn gradient(x: &Array, statistics: &Array, gamma: &Array, grad: &Array) -> Array {
    let width = gamma.data.len();
    let mut dx = Array::zeros(&x.shape);
    for row in 0..x.data.len() / width {
        let start = row * width;
        let (mean, rstd) = (statistics.data[2 * row], statistics.data[2 * row + 1]);
        let h = |c: usize| grad.data[start + c] * gamma.data[c];
        let z = |c: usize| (x.data[start + c] - mean) * rstd;
        let mean_h = (0..width).map(h).sum::<f64>() / width as f64;
        let mean_hz = (0..width).map(|c| h(c) * z(c)).sum::<f64>() / width as f64;
        for c in 0..width {
            dx.data[start + c] = rstd * (h(c) - mean_h - z(c) * mean_hz);
        }
    }
    dx
}
