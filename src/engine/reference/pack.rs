//! Twin of `shaders/movement.wgsl` for packed tensors.

use super::array::Array;

/// `len` elements with every input at its offset, and zeros in the gaps.
pub fn pack(inputs: &[&Array], starts: &[usize], len: usize) -> Array {
    let mut packed = Array::zeros(&[len]);
    for (input, &start) in inputs.iter().zip(starts) {
        packed.data[start..start + input.data.len()].copy_from_slice(&input.data);
    }
    packed
}
