//! Twins of `shaders/assign.wgsl` and `shaders/write_row.wgsl`.

use super::array::Array;

/// The state after it was overwritten.
pub fn assign(state: &Array, value: &Array) -> Array {
    value.reshaped(&state.shape)
}

/// The state \[rows, width\] after one row was overwritten; a row outside changes nothing.
pub fn write_row(state: &Array, values: &Array, row: f64) -> Array {
    let mut state = state.clone();
    let width = values.data.len();
    if row >= 0.0 && (row as usize) < state.shape[0] {
        let start = row as usize * width;
        state.data[start..start + width].copy_from_slice(&values.data);
    }
    state
}
