//! Twin of `shaders/flag_nonfinite.wgsl`.

use super::Array;

/// flags with flag `slot` set if an element of x is infinite or NaN.
pub fn flag_nonfinite(flags: &Array, x: &Array, slot: usize) -> Array {
    let mut flags = flags.clone();
    if x.data.iter().any(|value| !value.is_finite()) {
        flags.data[slot] = 1.0;
    }
    flags
}
