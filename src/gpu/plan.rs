//! The plan of a program: which kernels run in which order, and which buffer every value lives in.

use std::rc::Rc;

use super::pace;
use crate::graph::{Graph, Kind, Launch, LaunchContext, Launches, Node, NodeId, Op, Slot, Target, TensorType};
use crate::ops::elementwise::Elementwise;

/// Where a value is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A buffer that the host writes.
    Input(NodeId),
    /// A buffer that programs share by name.
    State(String),
    /// A buffer filled once.
    Constant(NodeId),
    /// A buffer of the pool, reused once the value is dead.
    Pool(usize),
}

/// One op of the plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The op's name.
    pub name: &'static str,
    /// The node it computes.
    pub node: NodeId,
    /// Storage of every input.
    pub inputs: Vec<Place>,
    /// Storage of the output.
    pub output: Place,
    /// Pool buffers used as scratch.
    pub scratch: Vec<usize>,
    /// The dispatches.
    pub launches: Launches,
    /// Bytes that every dispatch moves at least: each bound value once.
    pub traffic: Vec<u64>,
}

/// Everything that a device needs to run a graph, as plain data.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Ops in order.
    pub steps: Vec<Step>,
    /// Bytes of every pool buffer.
    pub pool: Vec<u64>,
    /// Storage of every node that has one.
    pub places: Vec<Option<Place>>,
    /// Bytes of inputs, constants and states.
    pub fixed: u64,
    /// Bytes of the largest input, constant or state.
    pub largest_fixed: u64,
}

impl Plan {
    /// Bytes of all buffers together.
    pub fn bytes(&self) -> u64 {
        self.fixed + self.pool.iter().sum::<u64>()
    }

    /// Bytes of the largest buffer.
    pub fn largest(&self) -> u64 {
        self.pool.iter().copied().fold(self.largest_fixed, u64::max)
    }

    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().map(|step| step.launches.list.len()).sum()
    }

    /// The work of every dispatch, see [`pace::work`].
    pub fn work(&self) -> Vec<u64> {
        let launches = self.steps.iter().flat_map(|step| step.launches.list.iter().zip(&step.traffic));
        launches.map(|(launch, &traffic)| pace::work(launch.operations, traffic)).collect()
    }

    /// Plans the part of `graph` that `outputs` and the updates of states need.
    pub fn new(graph: &Graph, outputs: &[NodeId], target: Target) -> Plan {
        let nodes = graph.nodes();
        let live = graph.live(outputs);
        let kernels = fuse(&nodes, &live, outputs);

        // Aliases share the storage of what they rename.
        let mut root: Vec<usize> = (0..nodes.len()).collect();
        for (index, node) in nodes.iter().enumerate() {
            if node.op().is_some_and(|op| op.is_alias()) {
                root[index] = root[node.inputs[0].0];
            }
        }
        let mut last_use = vec![0; nodes.len()];
        for (index, kernel) in kernels.iter().enumerate() {
            for input in kernel.iter().flat_map(|kernel| &kernel.inputs) {
                last_use[root[input.0]] = index;
            }
            last_use[index] = last_use[index].max(index);
        }
        for output in outputs {
            last_use[root[output.0]] = usize::MAX;
        }

        let mut pool = Pool::default();
        let mut places: Vec<Option<Place>> = vec![None; nodes.len()];
        let mut steps = Vec::new();
        let (mut fixed, mut largest_fixed) = (0, 0);
        for (index, node) in nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
            let id = NodeId(index);
            match &node.kind {
                Kind::Op(op) if op.is_alias() => places[index] = places[root[index]].clone(),
                Kind::Op(_) => {
                    let Some(kernel) = &kernels[index] else { continue };
                    let output = Place::Pool(pool.take(node.ty.bytes()));
                    places[index] = Some(output.clone());
                    let types: Vec<_> = kernel.inputs.iter().map(|input| &nodes[input.0].ty).collect();
                    let context = LaunchContext { inputs: &types, output: &node.ty, target };
                    let launches = kernel.op.launches(&context);
                    let scratch: Vec<_> = launches
                        .scratch
                        .iter()
                        .map(|&elements| pool.take(TensorType::f32([elements]).bytes()))
                        .collect();
                    let inputs: Vec<_> = kernel.inputs.iter().filter_map(|input| places[input.0].clone()).collect();
                    debug_assert_eq!(inputs.len(), kernel.inputs.len(), "inputs are stored before their use");
                    for &buffer in &scratch {
                        pool.give(buffer);
                    }
                    let mut dead: Vec<_> = kernel.inputs.iter().map(|input| root[input.0]).chain([index]).collect();
                    dead.sort_unstable();
                    dead.dedup();
                    for value in dead.into_iter().filter(|&value| last_use[value] <= index) {
                        if let Some(Place::Pool(buffer)) = places[value] {
                            pool.give(buffer);
                        }
                    }
                    let traffic = launches.list.iter().map(|launch| traffic(launch, &context, &launches)).collect();
                    let (launches, traffic) = pace::cut(launches, traffic);
                    steps.push(Step { name: kernel.op.name(), node: id, inputs, output, scratch, launches, traffic });
                }
                Kind::Input(_) => places[index] = Some(Place::Input(id)),
                Kind::Constant(_) => places[index] = Some(Place::Constant(id)),
                Kind::State(name) => places[index] = Some(Place::State(name.clone())),
            }
            if node.op().is_none() {
                fixed += node.ty.bytes();
                largest_fixed = largest_fixed.max(node.ty.bytes());
            }
        }
        Plan { steps, pool: pool.sizes, places, fixed, largest_fixed }
    }
}

/// Bytes of everything that a launch binds.
fn traffic(launch: &Launch, context: &LaunchContext<'_>, launches: &Launches) -> u64 {
    let bytes = |slot: &Slot| match *slot {
        Slot::Input(index) => context.inputs[index].bytes(),
        Slot::Output => context.output.bytes(),
        Slot::Scratch(index) => launches.scratch[index] as u64 * 4,
    };
    launch.bindings.iter().map(bytes).sum()
}

/// Buffers with a list of those that hold nothing now.
#[derive(Default)]
struct Pool {
    sizes: Vec<u64>,
    free: Vec<usize>,
}

impl Pool {
    /// The smallest free buffer that is large enough and not wastefully so, else a new one.
    fn take(&mut self, bytes: u64) -> usize {
        let bytes = bytes.next_multiple_of(256);
        let fitting = (0..self.free.len())
            .filter(|&slot| (bytes..=bytes * 2).contains(&self.sizes[self.free[slot]]))
            .min_by_key(|&slot| self.sizes[self.free[slot]]);
        match fitting {
            Some(slot) => self.free.swap_remove(slot),
            None => {
                self.sizes.push(bytes);
                self.sizes.len() - 1
            }
        }
    }

    fn give(&mut self, buffer: usize) {
        self.free.push(buffer);
    }
}

/// An op as it will run: after fusion, with the inputs of the whole chain.
struct Kernel {
    op: Rc<dyn Op>,
    inputs: Vec<NodeId>,
}

/// Gives every live computed node its kernel; nodes swallowed by their only consumer have none.
fn fuse(nodes: &[Node], live: &[bool], outputs: &[NodeId]) -> Vec<Option<Kernel>> {
    let mut consumers = vec![0; nodes.len()];
    let mut updated = vec![false; nodes.len()];
    for (_, node) in nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
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

    let mut kernels: Vec<Option<Kernel>> = (0..nodes.len()).map(|_| None).collect();
    let mut chains: Vec<Option<(Elementwise, Vec<NodeId>)>> = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
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
                    consumers[leaf.0] == node.inputs.iter().filter(|input| **input == leaf).count().max(1)
                        && nodes[leaf.0].ty.shape == node.ty.shape
                        && !own.iter().any(|input| updated[input.0])
                })
                .and_then(|(producer, own)| chain.inline(&leaves, slot, producer, own));
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

fn fused(op: &Rc<dyn Op>, chain: &Elementwise, single: &Elementwise) -> Rc<dyn Op> {
    if chain == single { op.clone() } else { Rc::new(chain.clone()) }
}
