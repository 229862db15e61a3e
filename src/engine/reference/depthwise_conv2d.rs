//! Twins of `shaders/depthwise_conv2d.wgsl` and `depthwise_conv2d_weight.wgsl`.

use super::array::Array;
use crate::engine::geometry::window::Window;

/// Calls `pair` with (tap, index of the pixel of the image, index of the pixel of the result) for every product of the
/// convolution of an image with the first three extents \[B, H, W\] to a result \[B, OH, OW\].
fn products(window: &Window, image: &[usize], result: &[usize], mut pair: impl FnMut(usize, usize, usize)) {
    let &Window { kernel, stride, dilation, padding } = window;
    let ([above, left], [batch, height, width]) = (padding.before, [image[0], image[1], image[2]]);
    for b in 0..batch {
        for i in 0..result[1] {
            for j in 0..result[2] {
                for t in 0..kernel * kernel {
                    let (ky, kx) = (t / kernel, t % kernel);
                    let row = (i * stride + ky * dilation).checked_sub(above).filter(|&row| row < height);
                    let column = (j * stride + kx * dilation).checked_sub(left).filter(|&column| column < width);
                    if let (Some(row), Some(column)) = (row, column) {
                        pair(t, (b * height + row) * width + column, (b * result[1] + i) * result[2] + j);
                    }
                }
            }
        }
    }
}

/// y\[b, i, j, c\] = bias\[c\] + Σ taps\[k·ky + kx, c\] · x\[b, i·stride + ky·dilation − above, j·stride + kx·dilation −
/// left, c\]
pub fn depthwise_conv2d(window: &Window, x: &Array, taps: &Array, bias: &Array) -> Array {
    let channels = bias.data.len();
    let [rows, columns] = window.grid([x.shape[1], x.shape[2]]).unwrap_or_default();
    let mut y = Array::from_fn(&[x.shape[0], rows, columns, channels], |index| bias.data[index % channels]);
    products(window, &x.shape, &y.shape.clone(), |t, from, to| {
        for c in 0..channels {
            y.data[to * channels + c] += taps.data[t * channels + c] * x.data[from * channels + c];
        }
    });
    y
}

/// Gradient with respect to x, of extents \[H, W\].
pub fn input_gradient(window: &Window, [height, width]: [usize; 2], grad: &Array, taps: &Array) -> Array {
    let channels = taps.shape[1];
    let mut dx = Array::zeros(&[grad.shape[0], height, width, channels]);
    products(window, &dx.shape.clone(), &grad.shape, |t, from, to| {
        for c in 0..channels {
            dx.data[from * channels + c] += taps.data[t * channels + c] * grad.data[to * channels + c];
        }
    });
    dx
}

/// Gradients with respect to the taps (rows 0 to k·k − 1) and to the bias (row k·k).
pub fn weight_gradient(window: &Window, x: &Array, grad: &Array) -> Array {
    let (channels, taps) = (x.shape[3], window.kernel * window.kernel);
    let mut sums = Array::zeros(&[taps + 1, channels]);
    products(window, &x.shape, &grad.shape, |t, from, to| {
        for c in 0..channels {
            sums.data[t * channels + c] += grad.data[to * channels + c] * x.data[from * channels + c];
        }
    });
    for (index, g) in grad.data.iter().enumerate() {
        sums.data[taps * channels + index % channels] += g;
    }
    sums
}
