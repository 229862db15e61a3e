//! Twin of `shaders/scatter_slots.wgsl`.

use super::array::Array;
use super::gather_slots::pairs;

/// out\[b, c, s\] = Σ over the slots k with classes\[b, k\] − first = c of x\[b, s, k\].
pub fn scatter_slots(x: &Array, classes: &Array, channels: usize, first: usize) -> Array {
    let mut out = Array::zeros(&[x.shape[0], channels, x.shape[1], x.shape[2]]);
    pairs(&x.shape, classes, channels, first, |slot, map| out.data[map] += x.data[slot]);
    out
}
