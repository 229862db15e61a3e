//! Twin of `shaders/par_weights.wgsl`, `shaders/par_step.wgsl` and `shaders/par_step_gradient.wgsl`.

use super::array::Array;

/// Pixels of the neighbours of (y, x), coordinates clamped to the extent: ring by ring, row by row.
fn neighbours(dilations: &[usize], y: usize, x: usize, extent: [usize; 2], width: usize) -> Vec<usize> {
    let mut pixels = Vec::with_capacity(8 * dilations.len());
    for &d in dilations {
        let rows = [y.saturating_sub(d), y, (y + d).min(extent[0] - 1)];
        let columns = [x.saturating_sub(d), x, (x + d).min(extent[1] - 1)];
        for (i, row) in rows.into_iter().enumerate() {
            for (j, column) in columns.into_iter().enumerate() {
                if (i, j) != (1, 1) {
                    pixels.push(row * width + column);
                }
            }
        }
    }
    pixels
}

/// The height and width of picture b, which is no larger than the image.
fn extent_of(extent: &Array, b: usize, [height, width]: [usize; 2]) -> [usize; 2] {
    [(extent.data[2 * b] as usize).min(height), (extent.data[2 * b + 1] as usize).min(width)]
}

fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    values.iter().map(|value| (value - largest).exp() / sum).collect()
}

/// Unbiased standard deviation.
fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)).sqrt()
}

/// w2 · softmax_k(f) with f_k = −(q_k / (s + 1e-8) / w1)², q_k the distance of neighbour k and s their deviation.
pub fn position(dilations: &[usize], w1: f64, w2: f64) -> Vec<f64> {
    let distance = |d: usize, n: usize| d as f64 * if [0, 2, 5, 7].contains(&n) { 2f64.sqrt() } else { 1.0 };
    let q: Vec<_> = dilations.iter().flat_map(|&d| (0..8).map(move |n| distance(d, n))).collect();
    let s = deviation(&q);
    let f: Vec<_> = q.iter().map(|q| -(q / (s + 1e-8) / w1).powi(2)).collect();
    softmax(&f).into_iter().map(|value| w2 * value).collect()
}

/// softmax_k(e) + position\[k\] for every pixel inside the extent, 0 outside.
pub fn par_weights(dilations: &[usize], w1: f64, position: &[f64], image: &Array, extent: &Array) -> Array {
    let [batch, height, width, channels] = [image.shape[0], image.shape[1], image.shape[2], image.shape[3]];
    let count = 8 * dilations.len();
    let mut out = Array::zeros(&[batch, height, width, count]);
    for b in 0..batch {
        let size = extent_of(extent, b, [height, width]);
        for y in 0..size[0] {
            for x in 0..size[1] {
                let pixels = neighbours(dilations, y, x, size, width);
                let value = |pixel: usize, c: usize| image.data[(b * height * width + pixel) * channels + c];
                let mut e = vec![0.0; count];
                for c in 0..3 {
                    let around: Vec<_> = pixels.iter().map(|&pixel| value(pixel, c)).collect();
                    let s = deviation(&around);
                    for k in 0..count {
                        let delta = (around[k] - value(y * width + x, c)).abs();
                        e[k] -= (delta / (s + 1e-8) / w1).powi(2) / 3.0;
                    }
                }
                let start = ((b * height + y) * width + x) * count;
                for (k, value) in softmax(&e).into_iter().enumerate() {
                    out.data[start + k] = value + position[k];
                }
            }
        }
    }
    out
}

/// Calls `touch` with every pair of a result and a mask element that it reads, as indices, and the weight.
fn pairs(
    dilations: &[usize],
    shape: &[usize],
    [weights, extent, classes]: [&Array; 3],
    mut touch: impl FnMut(usize, usize, f64),
) {
    let [batch, height, width, slots] = [shape[0], shape[1], shape[2], shape[3]];
    let count = 8 * dilations.len();
    for b in 0..batch {
        let size = extent_of(extent, b, [height, width]);
        for y in 0..size[0] {
            for x in 0..size[1] {
                let pixels = neighbours(dilations, y, x, size, width);
                let index = (b * height + y) * width + x;
                for s in 0..slots {
                    let four = b * slots + s / 4 * 4;
                    if classes.data[four..four + 4].iter().all(|&class| class < 0.0) {
                        continue;
                    }
                    for (k, pixel) in pixels.iter().enumerate() {
                        let at = b * height * width + pixel;
                        touch(index * slots + s, at * slots + s, weights.data[index * count + k]);
                    }
                }
            }
        }
    }
}

/// Σ_k weights\[k\] · mask at neighbour k, for every pixel inside the extent; 0 outside and in unused groups of four
/// slots.
pub fn par_step(dilations: &[usize], mask: &Array, weights: &Array, extent: &Array, classes: &Array) -> Array {
    let mut out = Array::zeros(&mask.shape);
    pairs(dilations, &mask.shape, [weights, extent, classes], |to, from, weight| {
        out.data[to] += weight * mask.data[from];
    });
    out
}

/// The transpose: every result's gradient is distributed to the neighbours that it was computed from.
pub fn par_step_gradient(dilations: &[usize], grad: &Array, weights: &Array, extent: &Array, classes: &Array) -> Array {
    let mut out = Array::zeros(&grad.shape);
    pairs(dilations, &grad.shape, [weights, extent, classes], |from, to, weight| {
        out.data[to] += weight * grad.data[from];
    });
    out
}
