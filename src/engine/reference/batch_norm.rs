//! Twin of `shaders/batch_statistics.wgsl`.

use super::array::Array;

/// Mean and biased variance of every column of x \[…, C\], as \[2, C\].
pub fn batch_statistics(x: &Array, width: usize) -> Array {
    let rows = (x.data.len() / width) as f64;
    let mut statistics = Array::zeros(&[2, width]);
    for (index, value) in x.data.iter().enumerate() {
        statistics.data[index % width] += value / rows;
    }
    for (index, value) in x.data.iter().enumerate() {
        let c = index % width;
        statistics.data[width + c] += (value - statistics.data[c]).powi(2) / rows;
    }
    statistics
}
