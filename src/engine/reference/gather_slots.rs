//! Twin of `shaders/gather_slots.wgsl`.

use super::array::Array;

/// Calls `touch` with every element of `slots` \[B, H, W, P\] and the element of maps \[B, `channels`, H, W\] that its
/// class names, as indices; class `first` is channel 0. Slots of other classes are skipped.
pub(super) fn pairs(
    slots: &[usize],
    classes: &Array,
    channels: usize,
    first: usize,
    mut touch: impl FnMut(usize, usize),
) {
    let [batch, plane, width] = [slots[0], slots[1] * slots[2], slots[3]];
    for b in 0..batch {
        for s in 0..plane {
            for k in 0..width {
                let channel = classes.data[b * width + k] - first as f64;
                if channel >= 0.0 && channel < channels as f64 {
                    touch((b * plane + s) * width + k, (b * channels + channel as usize) * plane + s);
                }
            }
        }
    }
}

/// out\[b, s, k\] = maps\[b, classes\[b, k\] − first, s\], 0 if that index is not a channel.
pub fn gather_slots(maps: &Array, classes: &Array, first: usize) -> Array {
    let shape = [maps.shape[0], maps.shape[2], maps.shape[3], classes.shape[1]];
    let mut out = Array::zeros(&shape);
    pairs(&shape, classes, maps.shape[1], first, |slot, map| out.data[slot] = maps.data[map]);
    out
}
