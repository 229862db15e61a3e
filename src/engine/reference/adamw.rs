//! Twin of `shaders/adamw.wgsl`.

use super::array::Array;

/// Constants of the optimiser.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Constants {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

impl Default for Constants {
    /// β = (0.9, 0.999), eps = 1e-8.
    fn default() -> Self {
        Constants { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl Constants {
    /// The row of `hyper` for `adamw` at step `t` (1 for the first): lr, decay, 1 − β1ᵗ, √(1 − β2ᵗ).
    pub fn hyper(&self, lr: f64, weight_decay: f64, t: u64) -> [f64; 4] {
        let rest = |beta: f64| 1.0 - beta.powf(t as f64);
        [lr, weight_decay, rest(self.beta1), rest(self.beta2).sqrt()]
    }
}

/// The new (p, m, v) of one parameter after one step with gradient g; hyper = (lr, decay, 1 − β1ᵗ, √(1 − β2ᵗ)).
pub fn adamw(c: &Constants, p: &Array, g: &[f64], m: &Array, v: &Array, hyper: &[f64]) -> [Array; 3] {
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
