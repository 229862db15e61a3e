//! Twin of `shaders/box_resize.wgsl`.

use super::Array;
use super::resize::cells;
use crate::ops::resize::Axis;

/// The rectangle `source` of x, resized onto the rectangle `destination` of an output of `size`; 0 outside.
pub fn box_resize(size: [usize; 2], align_corners: bool, x: &Array, source: &Array, destination: &Array) -> Array {
    let [batch, in_height, in_width, channels] = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
    let mut out = Array::zeros(&[batch, size[0], size[1], channels]);
    for b in 0..batch {
        let side = |boxes: &Array, n: usize| boxes.data[4 * b + n];
        let axis = |n: usize| {
            Axis::by_size(side(source, n).max(1.0) as usize, side(destination, n).max(1.0) as usize, align_corners)
        };
        let (rows, columns) = (axis(2), axis(3));
        let place = |n: usize, cell: usize, extent: usize| {
            (side(source, n) + cell as f64).clamp(0.0, (extent - 1) as f64) as usize
        };
        for at_y in 0..size[0] {
            for at_x in 0..size[1] {
                let d = [at_y as f64 - side(destination, 0), at_x as f64 - side(destination, 1)];
                if d[0] < 0.0 || d[1] < 0.0 || d[0] >= side(destination, 2) || d[1] >= side(destination, 3) {
                    continue;
                }
                for (row, y_weight) in cells(&rows, d[0] as usize) {
                    for (column, x_weight) in cells(&columns, d[1] as usize) {
                        let (row, column) = (place(0, row, in_height), place(1, column, in_width));
                        for c in 0..channels {
                            out.data[((b * size[0] + at_y) * size[1] + at_x) * channels + c] += y_weight
                                * x_weight
                                * x.data[((b * in_height + row) * in_width + column) * channels + c];
                        }
                    }
                }
            }
        }
    }
    out
}
