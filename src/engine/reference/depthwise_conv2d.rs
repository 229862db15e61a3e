//! Twins of `shaders/depthwise_conv2d.wgsl` and `depthwise_conv2d_weight.wgsl`.

use super::array::Array;

/// Calls `pair` with (tap, index of the input pixel, index of the output pixel) for every product of the convolution.
fn products(shape: &[usize], mut pair: impl FnMut(usize, usize, usize)) {
    let [batch, height, width] = [shape[0], shape[1], shape[2]];
    for b in 0..batch {
        for i in 0..height {
            for j in 0..width {
                for t in 0..9 {
                    let (from_i, from_j) = (i + t / 3, j + t % 3);
                    if (1..=height).contains(&from_i) && (1..=width).contains(&from_j) {
                        let from = (b * height + from_i - 1) * width + from_j - 1;
                        pair(t, from, (b * height + i) * width + j);
                    }
                }
            }
        }
    }
}

/// y\[b, i, j, c\] = bias\[c\] + Σ taps\[3·ky + kx, c\] · x\[b, i + ky − 1, j + kx − 1, c\]
pub fn depthwise_conv2d(x: &Array, taps: &Array, bias: &Array) -> Array {
    let channels = bias.data.len();
    let mut y = Array::from_fn(&x.shape, |index| bias.data[index % channels]);
    products(&x.shape, |t, from, to| {
        for c in 0..channels {
            y.data[to * channels + c] += taps.data[t * channels + c] * x.data[from * channels + c];
        }
    });
    y
}

/// Gradient with respect to x.
pub fn input_gradient(grad: &Array, taps: &Array) -> Array {
    let channels = taps.shape[1];
    let mut dx = Array::zeros(&grad.shape);
    products(&grad.shape, |t, from, to| {
        for c in 0..channels {
            dx.data[from * channels + c] += taps.data[t * channels + c] * grad.data[to * channels + c];
        }
    });
    dx
}

/// Gradients with respect to the taps (rows 0 to 8) and to the bias (row 9).
pub fn weight_gradient(x: &Array, grad: &Array) -> Array {
    let channels = x.shape[3];
    let mut sums = Array::zeros(&[10, channels]);
    products(&x.shape, |t, from, to| {
        for c in 0..channels {
            sums.data[t * channels + c] += grad.data[to * channels + c] * x.data[from * channels + c];
        }
    });
    for (index, g) in grad.data.iter().enumerate() {
        sums.data[9 * channels + index % channels] += g;
    }
    sums
}
