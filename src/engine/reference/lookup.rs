//! Twin of `shaders/lookup.wgsl`.

use super::array::Array;

/// out\[b, s\] = table\[b, index\[b, s\]\], the index clamped to the table.
pub fn lookup(table: &Array, index: &Array) -> Array {
    let (batch, entries) = (table.shape[0], table.shape[1]);
    let plane = index.data.len() / batch.max(1);
    Array::from_fn(&index.shape, |i| {
        let at = index.data[i].clamp(0.0, (entries - 1) as f64) as usize;
        table.data[i / plane * entries + at]
    })
}
