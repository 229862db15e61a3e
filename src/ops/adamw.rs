//! The optimiser's step: AdamW with decoupled decay (spec 7.3).

use super::assign::{check_states, nothing};
use crate::error::Result;
use crate::graph::{DType, Launch, LaunchContext, Launches, Op, Slot, Tensor, TensorType};
use crate::reference::{self, Array};
use crate::shader;

/// Constants of the optimiser; the op updates param, m and v of its inputs param, grad, m, v, hyper.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

impl Default for AdamW {
    /// β = (0.9, 0.999), eps = 1e-8.
    fn default() -> Self {
        AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl AdamW {
    /// What [`adamw`] takes as `hyper` at step `t` (1 for the first): lr, decay, 1 − β1ᵗ, √(1 − β2ᵗ).
    pub fn hyper(&self, lr: f64, weight_decay: f64, t: u64) -> [f64; 4] {
        let rest = |beta: f64| 1.0 - beta.powf(t as f64);
        [lr, weight_decay, rest(self.beta1), rest(self.beta2).sqrt()]
    }
}

impl Op for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [param, grad, m, v, hyper, gate @ ..] = inputs else {
            return Err("takes param, grad, m, v and hyper".into());
        };
        if param != grad || param != m || param != v || param.dtype != DType::F32 {
            return Err("param, grad, m and v need one shape".into());
        }
        if **hyper != TensorType::f32([4]) {
            return Err("hyper needs four values".into());
        }
        if gate.iter().any(|gate| gate.shape.len() != 1 || gate.dtype != DType::F32) {
            return Err("the gate is one real value".into());
        }
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let quads = context.inputs[0].shape.len().div_ceil(4);
        let slots: Vec<_> = (0..context.inputs.len()).map(Slot::Input).collect();
        let launch = Launch::new(shader!("adamw"), quads, 1)
            .uints(&[quads])
            .floats(&[self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, self.eps])
            .operations(14 * context.inputs[0].shape.len())
            .bind(&slots);
        if slots.len() == 6 { launch.define("GATE", 1).into() } else { launch.into() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        if inputs.get(5).is_some_and(|gate| gate.data[0] == 0.0) {
            return vec![inputs[0].clone(), inputs[2].clone(), inputs[3].clone()];
        }
        reference::adamw::adamw(self, inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]).into()
    }

    fn mutates(&self) -> &[usize] {
        &[0, 2, 3]
    }
}

/// Records one step on the states `param`, `m` and `v`; `hyper` \[4\] as from [`AdamW::hyper`]. Where `gate` \[1\] is
/// given and 0, nothing changes.
///
/// # Errors
/// If the shapes differ, or param, m or v is no state.
#[track_caller]
pub fn adamw(
    constants: AdamW,
    param: &Tensor,
    grad: &Tensor,
    m: &Tensor,
    v: &Tensor,
    hyper: &Tensor,
    gate: Option<&Tensor>,
) -> Result<Tensor> {
    let mut inputs = vec![param, grad, m, v, hyper];
    inputs.extend(gate);
    check_states("adamw", &inputs, constants.mutates())?;
    Tensor::record(constants, &inputs)
}
