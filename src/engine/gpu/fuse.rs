//! Fusion: chains of element-wise functions become one kernel each.

use std::sync::Arc;

use super::schedule::roots;
use super::views::Views;
use crate::engine::geometry::broadcast::Broadcast;
use crate::engine::graph::{Chain, Node, NodeId, Op};
use crate::engine::kernel::{LaunchContext, Slot, Target};

/// An op after fusion, with the inputs of the whole chain.
pub(super) struct Kernel {
    pub(super) op: Arc<dyn Op>,
    pub(super) inputs: Vec<NodeId>,
}

impl Kernel {
    /// The node whose value a slot refers to when the kernel computes node `own`; scratch belongs to no node, states to
    /// several nodes.
    pub(super) fn value(&self, own: usize, slot: Slot) -> Option<usize> {
        match slot {
            Slot::Input(input) => Some(self.inputs[input].0),
            Slot::Output => Some(own),
            Slot::Scratch(_) | Slot::States { .. } => None,
        }
    }
}

/// Assigns a kernel to every computed node; nodes fused into their only consumer have none. Those stored in `half`
/// precision are never fused, so that they are rounded in every schedule.
pub(super) fn fuse(nodes: &[Node], outputs: &[NodeId], half: &[bool]) -> Vec<Option<Kernel>> {
    let mut consumers = vec![0; nodes.len()];
    let mut updated = vec![false; nodes.len()];
    for node in nodes {
        for input in &node.inputs {
            consumers[input.0] += 1;
        }
        for &slot in node.op().map_or(&[][..], |op| op.mutates()) {
            updated[node.inputs[slot].0] = true;
        }
    }
    for output in outputs {
        consumers[output.0] += 1;
    }

    let views = Views::of(nodes);
    let root = roots(nodes);
    // Which values are halves was decided for another schedule, if the gradient recomputes some: a kernel that joins
    // more than there must load these by `vec4`, too.
    let loads_halves = |chain: &Chain, inputs: &[NodeId], index: usize| {
        let is_half = |node: usize| half[root[node]];
        if !is_half(index) && !inputs.iter().any(|input| is_half(input.0)) {
            return true;
        }
        let types: Vec<_> = inputs.iter().map(|input| &nodes[input.0].ty).collect();
        let context = LaunchContext { inputs: &types, output: &nodes[index].ty, target: Target::software() };
        let concerned = |slot: &Slot| match *slot {
            Slot::Input(input) => is_half(inputs[input].0),
            Slot::Output => is_half(index),
            Slot::Scratch(_) | Slot::States { .. } => false,
        };
        let launches = chain.launches(&context).list;
        launches.iter().all(|launch| launch.bindings.iter().all(|slot| !concerned(slot) || launch.fours.contains(slot)))
    };

    let mut kernels: Vec<Option<Kernel>> = (0..nodes.len()).map(|_| None).collect();
    let mut chains: Vec<Option<(Chain, Vec<NodeId>)>> = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let Some(op) = node.op().filter(|op| !op.is_alias()) else { continue };
        let Some(function) = op.elementwise() else {
            kernels[index] = Some(Kernel { op: op.clone(), inputs: node.inputs.clone() });
            continue;
        };
        let (mut chain, mut leaves) = (function.clone(), node.inputs.clone());
        let mut slot = 0;
        while slot < leaves.len() {
            let leaf = leaves[slot];
            let merged = chains[leaf.0]
                .as_ref()
                // A value with one reader, of the same extent, and not older than an update of what it reads.
                .filter(|(_, own)| {
                    !half[leaf.0]
                        && consumers[leaf.0] == node.inputs.iter().filter(|input| **input == leaf).count().max(1)
                        && nodes[leaf.0].ty.shape == node.ty.shape
                        && !own.iter().any(|input| updated[input.0] || views.is_updated(input.0, leaf.0, index))
                })
                .and_then(|(producer, own)| chain.inline(&leaves, slot, producer, own))
                // Values that broadcast differently need more axes together than each of them alone.
                .filter(|(_, inputs)| {
                    Broadcast::of(&node.ty.shape, inputs.iter().map(|input| &nodes[input.0].ty.shape)).fits()
                })
                .filter(|(longer, inputs)| loads_halves(longer, inputs, index));
            match merged {
                Some((longer, inputs)) => {
                    (chain, leaves) = (longer, inputs);
                    kernels[leaf.0] = None;
                    slot = 0;
                }
                None => slot += 1,
            }
        }
        kernels[index] = Some(Kernel { op: fused(op, &chain, function), inputs: leaves.clone() });
        chains[index] = Some((chain, leaves));
    }
    kernels
}

fn fused(op: &Arc<dyn Op>, chain: &Chain, single: &Chain) -> Arc<dyn Op> {
    if chain == single { op.clone() } else { Arc::new(chain.clone()) }
}
