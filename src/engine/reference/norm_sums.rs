//! Twin of `shaders/norm_sums.wgsl`.

use super::array::Array;

/// (Σ grad · (x − mean) · rstd, Σ grad) over the rows; statistics per row as (mean, rstd), or the mean per column.
pub fn norm_sums(x: &Array, statistics: &Array, grad: &Array, width: usize, per_row: bool) -> Array {
    let mut sums = Array::zeros(&[2, width]);
    for r in 0..x.data.len() / width {
        for c in 0..width {
            let (mean, rstd) = match per_row {
                true => (statistics.data[2 * r], statistics.data[2 * r + 1]),
                false => (statistics.data[c], 1.0),
            };
            let g = grad.data[r * width + c];
            sums.data[c] += g * (x.data[r * width + c] - mean) * rstd;
            sums.data[width + c] += g;
        }
    }
    sums
}
