//! Twins of `shaders/matmul.wgsl` on the patches of an image.

use super::array::Array;
use crate::engine::geometry::patches::Patches;

/// y\[b, oy, ox, o\] = bias\[o\] + Σ rows\[o, ky, kx, c\] · x\[b, oy·stride + ky − above, ox·stride + kx − left, c\]
pub fn conv2d(patches: &Patches, x: &Array, rows: &Array, bias: Option<&Array>) -> Array {
    let (outputs, channels) = (rows.shape[0], patches.image[3]);
    let columns = patches.columns();
    let mut y = Array::zeros(&[patches.image[0], patches.grid[0], patches.grid[1], outputs]);
    if let Some(bias) = bias {
        y = Array::from_fn(&y.shape, |index| bias.data[index % outputs]);
    }
    products(patches, |from, [ky, kx], to| {
        let tap = (ky * patches.kernel + kx) * channels;
        for o in 0..outputs {
            for c in 0..channels {
                y.data[to * outputs + o] += rows.data[o * columns + tap + c] * x.data[from * channels + c];
            }
        }
    });
    y
}

/// Gradient with respect to the rows.
pub fn weight_gradient(patches: &Patches, grad: &Array, x: &Array) -> Array {
    let (outputs, channels) = (grad.shape[3], patches.image[3]);
    let columns = patches.columns();
    let mut rows = Array::zeros(&[outputs, columns]);
    products(patches, |from, [ky, kx], to| {
        let tap = (ky * patches.kernel + kx) * channels;
        for o in 0..outputs {
            for c in 0..channels {
                rows.data[o * columns + tap + c] += grad.data[to * outputs + o] * x.data[from * channels + c];
            }
        }
    });
    rows
}

/// Gradient with respect to x, for rows spread as \[reach − 1 − ty, reach − 1 − tx, o, ry, rx, c\] where
/// (ky, kx) = stride·(ty, tx) + (ry, rx).
pub fn input_gradient(patches: &Patches, grad: &Array, spread: &Array) -> Array {
    let (outputs, channels) = (grad.shape[3], patches.image[3]);
    let (stride, reach) = (patches.stride, patches.reach());
    let mut dx = Array::zeros(&patches.image);
    products(patches, |from, [ky, kx], to| {
        let [ty, tx] = [ky, kx].map(|tap| reach - 1 - tap / stride);
        for o in 0..outputs {
            let row = (ty * reach + tx) * outputs + o;
            let tap = (row * stride + ky % stride) * stride + kx % stride;
            for c in 0..channels {
                dx.data[from * channels + c] += spread.data[tap * channels + c] * grad.data[to * outputs + o];
            }
        }
    });
    dx
}

/// Calls `pair` with (pixel of the image, row and column in the patch, patch) for every pixel of every patch.
fn products(patches: &Patches, mut pair: impl FnMut(usize, [usize; 2], usize)) {
    let &Patches { image: [batch, height, width, _], grid: [rows, columns], kernel, stride, padding: [above, left] } =
        patches;
    for b in 0..batch {
        for oy in 0..rows {
            for ox in 0..columns {
                for ky in 0..kernel {
                    for kx in 0..kernel {
                        let iy = (oy * stride + ky).checked_sub(above).filter(|&iy| iy < height);
                        let ix = (ox * stride + kx).checked_sub(left).filter(|&ix| ix < width);
                        if let (Some(iy), Some(ix)) = (iy, ix) {
                            pair((b * height + iy) * width + ix, [ky, kx], (b * rows + oy) * columns + ox);
                        }
                    }
                }
            }
        }
    }
}
