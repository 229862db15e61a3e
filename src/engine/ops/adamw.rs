//! The optimiser's step: AdamW with decoupled decay (method.md 7.3).

use super::assign::{check_states, listed_twice, nothing};
use super::matmul::mismatch;
use super::pack::Packed;
use crate::engine::graph::{DType, Op, Tensor, TensorType};
use crate::engine::kernel::{BLOCK, Launch, LaunchContext, Launches, Packing, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
pub use crate::engine::reference::adamw::Constants;
use crate::error::Result;

/// A parameter that [`adamw`] updates, with its moments: three states of one shape.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The parameter.
    pub param: Tensor,
    /// First moment, zeros before the first step.
    pub m: Tensor,
    /// Second moment, zeros before the first step.
    pub v: Tensor,
    /// Its row of `hyper`.
    pub group: usize,
}

/// A step of several parameters. Inputs: grads, hyper, groups, a gate if there is one, and the states that it updates:
/// all params, all m, all v.
#[derive(Debug)]
struct Update {
    constants: Constants,
    /// Positions of the states among the inputs.
    states: Vec<usize>,
}

impl Update {
    /// The first of the states, and how many parameters there are.
    fn params(&self) -> (usize, usize) {
        (self.states[0], self.states.len() / 3)
    }

    fn gated(&self) -> bool {
        self.states[0] == 4
    }
}

impl Op for Update {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [_, hyper, _, rest @ ..] = inputs else { return Err("takes grads, hyper and groups".into()) };
        if hyper.shape.rank() != 2 || hyper.shape[1] != 4 || hyper.dtype != DType::F32 {
            return Err("hyper needs four values per group".into());
        }
        if self.gated() && (rest[0].shape.len() != 1 || rest[0].dtype != DType::F32) {
            return Err("the gate must be one real value".into());
        }
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (first, count) = self.params();
        let packing = Packing::of(context.inputs[first..first + count].iter().map(|param| param.shape.len()));
        let states = [0, 1, 2].map(|kind| Slot::States { first: first + kind * count, count });
        let slots = [0, 1, 2].map(Slot::Input).into_iter().chain(states);
        let gate = self.gated().then_some(Slot::Input(3));
        let Constants { beta1, beta2, eps } = self.constants;
        let launch = Launch::new(shader!("adamw"), packing.len / 4, 1)
            .uints(&[packing.len / 4])
            .floats(&[beta1, 1.0 - beta1, beta2, 1.0 - beta2, eps])
            .operations(&[14, packing.len])
            .fours(&[Slot::Input(0), Slot::Input(1)])
            .bind(&slots.chain(gate).collect::<Vec<_>>());
        if self.gated() { launch.define("GATE", 1).into() } else { launch.into() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (first, count) = self.params();
        let states = &inputs[first..];
        if self.gated() && inputs[3].data[0] == 0.0 {
            return states.iter().map(|state| (*state).clone()).collect();
        }
        let [grads, hyper, groups] = [0, 1, 2].map(|input| &inputs[input].data);
        let starts = Packing::of(states[..count].iter().map(|param| param.data.len())).starts;
        let mut updated = [const { Vec::new() }; 3];
        for (index, start) in starts.into_iter().enumerate() {
            let [p, m, v] = [0, 1, 2].map(|kind| states[kind * count + index]);
            let hyper = &hyper[4 * groups[start / BLOCK] as usize..];
            let new = reference::adamw::adamw(&self.constants, p, &grads[start..], m, v, hyper);
            updated.iter_mut().zip(new).for_each(|(all, new)| all.push(new));
        }
        updated.concat()
    }

    fn mutates(&self) -> &[usize] {
        &self.states
    }
}

/// Records one step of the parameters in `trained`, whose gradients are the first of `grads`, in the same order.
/// `hyper` \[groups, 4\] has a row as from [`Constants::hyper`] for every group. If `gate` \[1\] is given and 0,
/// nothing changes.
///
/// # Errors
/// If the shapes differ, there is no such group or gradient, or a param, m or v is not a state or occurs twice.
#[track_caller]
pub fn adamw(
    constants: Constants,
    trained: &[Trained],
    grads: &Packed,
    hyper: &Tensor,
    gate: Option<&Tensor>,
) -> Result<()> {
    for (index, Trained { param, m, v, group }) in trained.iter().enumerate() {
        let Some(grad) = grads.tensors.get(index) else {
            return Err(mismatch("adamw", &[param, m, v], "param has no gradient"));
        };
        if [grad, m, v].iter().any(|other| other.ty() != param.ty()) {
            return Err(mismatch("adamw", &[param, grad, m, v], "param, grad, m and v must have the same shape"));
        }
        if hyper.shape().first().is_none_or(|groups| group >= groups) {
            return Err(mismatch("adamw", &[hyper], &format!("hyper has no group {group}")));
        }
    }
    // Parts are recorded one by one, but a state may be in two of them.
    if let Some(twice) = listed_twice(trained.iter().flat_map(|Trained { param, m, v, .. }| [param, m, v])) {
        return Err(mismatch("adamw", &[twice], "a state is used twice"));
    }
    for (range, values) in &grads.parts {
        let range = range.start..range.end.min(trained.len());
        let Some(own) = trained.get(range.clone()).filter(|own| !own.is_empty()) else { continue };
        let packing = grads.packing(range);
        let groups = packing.of_blocks(|tensor, _| own[tensor].group as f64);
        let groups = hyper.graph().constant(&groups, [groups.len()]);
        let mut inputs = vec![values, hyper, &groups];
        inputs.extend(gate);
        let first = inputs.len();
        inputs.extend(own.iter().map(|trained| &trained.param));
        inputs.extend(own.iter().map(|trained| &trained.m));
        inputs.extend(own.iter().map(|trained| &trained.v));
        let states: Vec<_> = (first..inputs.len()).collect();
        check_states("adamw", &inputs, &states)?;
        Tensor::record(Update { constants, states }, &inputs)?;
    }
    Ok(())
}
