//! Which values are stored in half precision.

use super::fuse::fuse;
use super::schedule::Schedule;
use crate::engine::graph::{DType, Graph, Kind, NodeId, Storage};
use crate::engine::kernel::{LaunchContext, Target};

/// The schedule of `outputs` for kernels of `target`, with the values that are stored in half precision.
pub(super) fn schedule(graph: &Graph, outputs: &[NodeId], target: Target) -> Schedule {
    let mut schedule = Schedule::new(graph, outputs);
    schedule.half = halves(&schedule, target);
    schedule
}

/// Whether the value of each node is stored in half precision: the recording allows it, it depends on an input or is a
/// weight in halves, it is not an output, and every kernel that accesses it can convert it (`Launch::fours`), on either
/// class of device and on `target`. So a graph rounds at the same points everywhere, unless a custom kernel table splits
/// other sums.
fn halves(schedule: &Schedule, target: Target) -> Vec<bool> {
    let nodes = &schedule.nodes;
    let mut half = vec![false; nodes.len()];
    if nodes.iter().all(|node| node.storage == Storage::Whole) {
        return half;
    }
    let kernels = fuse(nodes, &schedule.outputs, &half);
    let root = schedule.roots();
    let mut varies = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        varies[index] = matches!(node.kind, Kind::Input(_)) || node.inputs.iter().any(|input| varies[input.0]);
        let allowed = match node.storage {
            Storage::Whole => false,
            Storage::Half => varies[index],
            Storage::HalfWeight => true,
        };
        half[index] = allowed && node.ty.dtype == DType::F32 && kernels[index].is_some();
    }
    schedule.outputs.iter().for_each(|output| half[root[output.0]] = false);
    for (index, kernel) in kernels.iter().enumerate() {
        let Some(kernel) = kernel else { continue };
        if !half[index] && !kernel.inputs.iter().any(|input| half[root[input.0]]) {
            continue;
        }
        if kernel.op.exchange().is_some() {
            half[root[index]] = false;
            kernel.inputs.iter().for_each(|input| half[root[input.0]] = false);
        }
        let types: Vec<_> = kernel.inputs.iter().map(|input| &nodes[input.0].ty).collect();
        let all = [true; 2];
        for target in [Target::software(), Target::graphics(), target.of_halves(&[]), target.of_halves(&all)] {
            let context = LaunchContext { inputs: &types, output: &nodes[index].ty, target };
            for launch in kernel.op.dispatches(&context).list {
                for slot in launch.bindings.iter().filter(|slot| !launch.fours.contains(slot)) {
                    if let Some(value) = kernel.value(index, *slot) {
                        half[root[value]] = false;
                    }
                }
            }
        }
    }
    half
}
