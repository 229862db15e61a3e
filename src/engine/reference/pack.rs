//! Twin of what `shaders/movement.wgsl` does for packed tensors.

use super::array::Array;

/// `len` elements that hold every input from its start on, and zeros between them.
pub fn pack(inputs: &[&Array], starts: &[usize], len: usize) -> Array {
    let mut packed = Array::zeros(&[len]);
    for (input, &start) in inputs.iter().zip(starts) {
        packed.data[start..start + input.data.len()].copy_from_slice(&input.data);
    }
    packed
}
