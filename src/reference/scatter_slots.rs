//! Twin of `shaders/scatter_slots.wgsl`.

use super::Array;

/// out\[b, c, s\] = Σ over the slots k with classes\[b, k\] − first = c of x\[b, s, k\].
pub fn scatter_slots(x: &Array, classes: &Array, channels: usize, first: usize) -> Array {
    let [batch, height, width, slots] = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
    let plane = height * width;
    let mut out = Array::zeros(&[batch, channels, height, width]);
    for b in 0..batch {
        for s in 0..plane {
            for k in 0..slots {
                let channel = classes.data[b * slots + k] - first as f64;
                if channel >= 0.0 && channel < channels as f64 {
                    out.data[(b * channels + channel as usize) * plane + s] += x.data[(b * plane + s) * slots + k];
                }
            }
        }
    }
    out
}
