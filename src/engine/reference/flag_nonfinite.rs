//! Twin of `shaders/flag_nonfinite.wgsl`.

use super::array::Array;

/// flags with that of every block set which holds an element that is infinite or NaN; a block of `block` elements is
/// (its flag, how many of its elements count).
pub fn flag_nonfinite(flags: &Array, x: &Array, blocks: &Array, block: usize) -> Array {
    let mut flags = flags.clone();
    for (values, of) in x.data.chunks(block).zip(blocks.data.chunks(2)) {
        let (flag, count) = (of[0] as usize, of[1] as usize);
        if values[..count].iter().any(|value| !value.is_finite()) {
            flags.data[flag] = 1.0;
        }
    }
    flags
}
