//! Twins of `shaders/unfold.wgsl` and `shaders/fold.wgsl`.

use super::Array;
use crate::ops::unfold::Window;

/// y\[b, oy, ox, ky, kx, c\] = x\[b, oy·stride + ky − padding, ox·stride + kx − padding, c\], 0 outside.
pub fn unfold(window: &Window, x: &Array) -> Array {
    let [batch, _, _, channels] = window.image;
    let [out_height, out_width] = window.out();
    let patch = window.kernel[0] * window.kernel[1] * channels;
    let mut y = Array::zeros(&[batch, out_height * out_width, patch]);
    pairs(window, |from, to| y.data[to] = x.data[from]);
    y
}

/// dx\[b, iy, ix, c\] = Σ of the entries of g that [`unfold`] takes from there.
pub fn fold(window: &Window, g: &Array) -> Array {
    let mut dx = Array::zeros(&window.image);
    pairs(window, |to, from| dx.data[to] += g.data[from]);
    dx
}

/// Calls `pair` with the index in the image and the index among the patches of everything copied.
fn pairs(window: &Window, mut pair: impl FnMut(usize, usize)) {
    let [batch, height, width, channels] = window.image;
    let [kernel_height, kernel_width] = window.kernel;
    let [out_height, out_width] = window.out();
    let mut index = 0;
    for b in 0..batch {
        for oy in 0..out_height {
            for ox in 0..out_width {
                for ky in 0..kernel_height {
                    for kx in 0..kernel_width {
                        let iy = (oy * window.stride + ky).checked_sub(window.padding).filter(|&iy| iy < height);
                        let ix = (ox * window.stride + kx).checked_sub(window.padding).filter(|&ix| ix < width);
                        for c in 0..channels {
                            if let (Some(iy), Some(ix)) = (iy, ix) {
                                pair(((b * height + iy) * width + ix) * channels + c, index);
                            }
                            index += 1;
                        }
                    }
                }
            }
        }
    }
}
