//! Twin of `shaders/adamw.wgsl`.

use super::array::Array;
use crate::engine::ops::adamw::AdamW;

/// The new (p, m, v) of one parameter after one step with gradient g; hyper = (lr, decay, 1 − β1ᵗ, √(1 − β2ᵗ)).
pub fn adamw(c: &AdamW, p: &Array, g: &[f64], m: &Array, v: &Array, hyper: &[f64]) -> [Array; 3] {
    let [lr, decay, correction1, correction2] = [hyper[0], hyper[1], hyper[2], hyper[3]];
    let (mut p, mut m, mut v) = (p.clone(), m.clone(), v.clone());
    for i in 0..p.data.len() {
        m.data[i] = c.beta1 * m.data[i] + (1.0 - c.beta1) * g[i];
        v.data[i] = c.beta2 * v.data[i] + (1.0 - c.beta2) * g[i] * g[i];
        let step = (lr / correction1) * m.data[i] / (v.data[i].sqrt() / correction2 + c.eps);
        p.data[i] = p.data[i] * (1.0 - lr * decay) - step;
    }
    [p, m, v]
}
