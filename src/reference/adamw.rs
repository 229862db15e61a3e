//! Twin of `shaders/adamw.wgsl`.

use super::Array;
use crate::ops::adamw::AdamW;

/// The new (p, m, v) after one step with gradient g; hyper = (lr, decay, 1 − β1ᵗ, √(1 − β2ᵗ)).
pub fn adamw(c: &AdamW, p: &Array, g: &Array, m: &Array, v: &Array, hyper: &Array) -> [Array; 3] {
    let [lr, decay, correction1, correction2] = [hyper.data[0], hyper.data[1], hyper.data[2], hyper.data[3]];
    let (mut p, mut m, mut v) = (p.clone(), m.clone(), v.clone());
    for (i, gi) in g.data.iter().enumerate() {
        m.data[i] = c.beta1 * m.data[i] + (1.0 - c.beta1) * gi;
        v.data[i] = c.beta2 * v.data[i] + (1.0 - c.beta2) * gi * gi;
        let step = (lr / correction1) * m.data[i] / (v.data[i].sqrt() / correction2 + c.eps);
        p.data[i] = p.data[i] * (1.0 - lr * decay) - step;
    }
    [p, m, v]
}
