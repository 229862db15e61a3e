//! Twin of `shaders/gather_slots.wgsl`.

use super::Array;

/// out\[b, s, k\] = maps\[b, classes\[b, k\] − first, s\], 0 where that index is no channel.
pub fn gather_slots(maps: &Array, classes: &Array, first: usize) -> Array {
    let [batch, channels, height, width] = [maps.shape[0], maps.shape[1], maps.shape[2], maps.shape[3]];
    let (plane, slots) = (height * width, classes.shape[1]);
    let mut out = Array::zeros(&[batch, height, width, slots]);
    for b in 0..batch {
        for s in 0..plane {
            for k in 0..slots {
                let channel = classes.data[b * slots + k] - first as f64;
                if channel >= 0.0 && channel < channels as f64 {
                    out.data[(b * plane + s) * slots + k] = maps.data[(b * channels + channel as usize) * plane + s];
                }
            }
        }
    }
    out
}
