//! Twin of `shaders/box_resize.wgsl` and `shaders/box_resize_gradient.wgsl`.

use super::array::Array;
use super::resize::cells;
use crate::engine::geometry::axis::Axis;

/// Calls `touch` with every pair of an element of `to` \[B, .., .., C\] and one of `from` that it reads, as indices, and
/// the weight; the shapes and rectangles are those of the resize.
fn pairs(
    [from, to]: [&[usize]; 2],
    align_corners: bool,
    [source, destination]: [&Array; 2],
    mut touch: impl FnMut(usize, usize, f64),
) {
    let [batch, in_height, in_width, channels] = [from[0], from[1], from[2], from[3]];
    for b in 0..batch {
        let side = |boxes: &Array, n: usize| boxes.data[4 * b + n];
        let axis = |n: usize| {
            Axis::by_size(side(source, n).max(1.0) as usize, side(destination, n).max(1.0) as usize, align_corners)
        };
        let (rows, columns) = (axis(2), axis(3));
        let place = |n: usize, cell: usize, extent: usize| {
            (side(source, n) + cell as f64).clamp(0.0, (extent - 1) as f64) as usize
        };
        for at_y in 0..to[1] {
            for at_x in 0..to[2] {
                let d = [at_y as f64 - side(destination, 0), at_x as f64 - side(destination, 1)];
                if d[0] < 0.0 || d[1] < 0.0 || d[0] >= side(destination, 2) || d[1] >= side(destination, 3) {
                    continue;
                }
                for (row, y_weight) in cells(&rows, d[0] as usize) {
                    for (column, x_weight) in cells(&columns, d[1] as usize) {
                        let (row, column) = (place(0, row, in_height), place(1, column, in_width));
                        for c in 0..channels {
                            let out = ((b * to[1] + at_y) * to[2] + at_x) * channels + c;
                            let at = ((b * in_height + row) * in_width + column) * channels + c;
                            touch(out, at, y_weight * x_weight);
                        }
                    }
                }
            }
        }
    }
}

/// The rectangle `source` of x, resized onto the rectangle `destination` of an output of `size`; 0 outside.
pub fn box_resize(size: [usize; 2], align_corners: bool, x: &Array, source: &Array, destination: &Array) -> Array {
    let mut out = Array::zeros(&[x.shape[0], size[0], size[1], x.shape[3]]);
    let shapes = [x.shape.clone(), out.shape.clone()];
    pairs([&shapes[0], &shapes[1]], align_corners, [source, destination], |to, from, weight| {
        out.data[to] += weight * x.data[from];
    });
    out
}

/// The transpose, to x of `shape`: every result's gradient goes back to its four cells.
pub fn gradient(shape: &[usize], align_corners: bool, grad: &Array, source: &Array, destination: &Array) -> Array {
    let mut out = Array::zeros(shape);
    pairs([shape, &grad.shape], align_corners, [source, destination], |from, to, weight| {
        out.data[to] += weight * grad.data[from];
    });
    out
}
