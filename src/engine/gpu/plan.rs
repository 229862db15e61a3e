//! The plan of a program: which kernels run in which order, and in which buffer every value is stored.

use std::panic::Location;

use super::fuse::fuse;
use super::pace;
use super::pool::{Value, Whole, share};
use super::precision;
use super::schedule::Schedule;
use crate::engine::graph::{Graph, Kind, Node, NodeId, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Pace, Packing, Slot, Target};
use crate::engine::ranks::Exchange;

/// Where a value is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A buffer that the host writes.
    Input(NodeId),
    /// A buffer that programs share by name.
    State(String),
    /// A buffer filled once.
    Constant(NodeId),
    /// A value of the plan, in the pool.
    Value(usize),
}

/// One op of the plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The op's name.
    pub name: &'static str,
    /// The node it computes.
    pub node: NodeId,
    /// The line that recorded it.
    pub at: &'static Location<'static>,
    /// Storage of every input.
    pub inputs: Vec<Place>,
    /// The value it computes.
    pub output: usize,
    /// Values used as scratch.
    pub scratch: Vec<usize>,
    /// The dispatches.
    pub launches: Launches,
    /// Bytes that every dispatch moves at least: each bound value once.
    pub traffic: Vec<u64>,
    /// What the host exchanges with other ranks, from the input to the output.
    pub exchange: Option<Exchange>,
}

/// Everything that a device needs to run a graph, as plain data.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Ops in order.
    pub steps: Vec<Step>,
    /// All values in the pool.
    pub values: Vec<Value>,
    /// Bytes of every pool buffer.
    pub pool: Vec<u64>,
    /// Storage of every node that has one.
    pub places: Vec<Option<Place>>,
    /// Bytes of all states.
    pub states: u64,
    /// Names of states that are packed into one buffer according to their [`Packing`].
    pub packed: Vec<Vec<String>>,
    /// Bytes of all inputs and constants.
    pub inputs: u64,
    /// Nodes whose values are stored in half precision.
    pub half: Vec<NodeId>,
    /// Bytes of the largest input, constant or state.
    largest_fixed: u64,
    /// The rates of the device that it is for.
    pace: Pace,
}

/// An exchange with other ranks. What is received may be written at any time between the two numbers of dispatches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedExchange {
    /// The step that it is.
    pub step: usize,
    /// What is exchanged.
    pub exchange: Exchange,
    /// Dispatches before it, which compute what is sent.
    pub begins: usize,
    /// Dispatches before the first that reads what was received.
    pub until: usize,
}

impl Plan {
    /// Bytes of all buffers together.
    pub fn bytes(&self) -> u64 {
        self.states + self.inputs + self.pool.iter().sum::<u64>()
    }

    /// Bytes of the largest buffer.
    pub fn largest(&self) -> u64 {
        self.pool.iter().copied().fold(self.largest_fixed, u64::max)
    }

    /// Number of dispatches.
    pub fn dispatches(&self) -> usize {
        self.steps.iter().map(|step| step.launches.list.len()).sum()
    }

    /// The estimated nanoseconds of every dispatch.
    pub fn times(&self) -> Vec<u64> {
        let launches = self.steps.iter().flat_map(|step| step.launches.list.iter().zip(&step.traffic));
        launches.map(|(launch, &traffic)| self.pace.time(launch.operations, traffic)).collect()
    }

    /// The exchanges with other ranks, in order.
    pub fn exchanges(&self) -> Vec<PlannedExchange> {
        let mut dispatches = 0;
        let mut before = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            before.push(dispatches);
            dispatches += step.launches.list.len();
        }
        let exchange = |(index, step): (usize, &Step)| {
            let received = Place::Value(step.output);
            let mut later = self.steps.iter().enumerate().skip(index + 1);
            let reader = later.find(|(_, step)| step.inputs.contains(&received));
            let until = reader.map_or(dispatches, |(reader, _)| before[reader]);
            Some(PlannedExchange { step: index, exchange: step.exchange?, begins: before[index], until })
        };
        self.steps.iter().enumerate().filter_map(exchange).collect()
    }

    /// The step at which the values in the pool take the most bytes, and these bytes: a lower bound for the size of the
    /// pool.
    pub fn peak(&self) -> (usize, u64) {
        let mut change = vec![0_i64; self.steps.len() + 1];
        for value in &self.values {
            change[*value.life.start()] += value.bytes as i64;
            change[value.life.end() + 1] -= value.bytes as i64;
        }
        let (mut held, mut peak) = (0, (0, 0));
        for (step, change) in change.iter().enumerate() {
            held += change;
            if held as u64 > peak.1 {
                peak = (step, held as u64);
            }
        }
        peak
    }

    /// The values in the pool while `step` runs, the largest first.
    pub fn alive(&self, step: usize) -> Vec<&Value> {
        let mut alive: Vec<_> = self.values.iter().filter(|value| value.life.contains(&step)).collect();
        alive.sort_by_key(|value| std::cmp::Reverse(value.bytes));
        alive
    }

    /// Plans the part of `graph` that `outputs` and the updates of states need.
    pub fn new(graph: &Graph, outputs: &[NodeId], target: Target) -> Plan {
        Self::of(&precision::schedule(graph, outputs, target), target)
    }

    /// Plans a schedule.
    pub(super) fn of(schedule: &Schedule, target: Target) -> Plan {
        let Schedule { nodes, origin, outputs, .. } = schedule;
        let kernels = fuse(nodes, outputs, &schedule.half);
        let root = schedule.roots();
        let runs = kernels.iter().enumerate().filter_map(|(index, kernel)| Some((index, kernel.as_ref()?)));
        let mut last_use = vec![0; nodes.len()];
        let mut last_step = 0;
        for (step, (index, kernel)) in runs.enumerate() {
            last_step = step;
            last_use[index] = step;
            kernel.inputs.iter().for_each(|input| last_use[root[input.0]] = step);
        }
        for output in outputs {
            last_use[root[output.0]] = last_step;
        }

        let mut values = Vec::new();
        let mut places: Vec<Option<Place>> = vec![None; nodes.len()];
        let mut steps = Vec::new();
        let (mut packings, mut packed) = (Vec::new(), Vec::new());
        let (mut states, mut inputs, mut largest_fixed) = (0, 0, 0);
        for (index, node) in nodes.iter().enumerate() {
            let id = origin[index];
            match &node.kind {
                Kind::Op(op) if op.is_alias() => places[index] = places[root[index]].clone(),
                Kind::Op(_) => {
                    let Some(kernel) = &kernels[index] else { continue };
                    let types: Vec<_> = kernel.inputs.iter().map(|input| &nodes[input.0].ty).collect();
                    let halves: Vec<_> = kernel.inputs.iter().map(|input| schedule.half[root[input.0]]).collect();
                    let any = halves.contains(&true) || schedule.half[root[index]];
                    let target = if any { target.of_halves(&halves) } else { target };
                    let context = LaunchContext { inputs: &types, output: &node.ty, target };
                    let mut launches = kernel.op.dispatches(&context);
                    for launch in &mut launches.list {
                        let is_half = |slot| kernel.value(index, slot).is_some_and(|value| schedule.half[root[value]]);
                        let numbered = (1..).zip(&launch.bindings).filter(|(_, slot)| is_half(**slot));
                        launch.half = numbered.map(|(number, _)| number).collect();
                        launch.conversion = target.conversion();
                    }
                    let now = steps.len();
                    let mut value = |bytes: u64, end: usize| {
                        values.push(Value::new(bytes, now..=end));
                        values.len() - 1
                    };
                    let output = value(schedule.bytes(index), last_use[index]);
                    let scratch =
                        launches.scratch.iter().map(|&elements| value(TensorType::f32([elements]).bytes(), now));
                    let scratch = scratch.collect();
                    places[index] = Some(Place::Value(output));
                    let inputs: Vec<_> = kernel.inputs.iter().filter_map(|input| places[input.0].clone()).collect();
                    debug_assert_eq!(inputs.len(), kernel.inputs.len(), "inputs are stored before their use");
                    if let Some(packing) = kernel.op.packing(&types) {
                        let inputs = kernel.inputs.iter().zip(&packing.starts);
                        let whole = |id: &NodeId| !schedule.half[root[id.0]] && !schedule.half[index];
                        let starts = inputs.map(|(input, &start)| whole(input).then_some(start as u64 * 4));
                        packings.push((now, starts.collect()));
                    }
                    for (first, count) in launches.list.iter().flat_map(Launch::states) {
                        let (names, bytes, apart) = together(nodes, &kernel.inputs[first..first + count]);
                        if !packed.contains(&names) {
                            packed.push(names);
                            states += bytes - apart;
                            largest_fixed = largest_fixed.max(bytes);
                        }
                    }
                    let traffic = launches.list.iter().map(|launch| traffic(launch, &context, &launches)).collect();
                    let (launches, traffic) = pace::cut(launches, traffic, target.pace);
                    steps.push(Step {
                        name: kernel.op.name(),
                        node: id,
                        at: node.at,
                        inputs,
                        output,
                        scratch,
                        launches,
                        traffic,
                        exchange: kernel.op.exchange().map(|(exchange, _)| exchange),
                    });
                }
                Kind::Input(_) => places[index] = Some(Place::Input(id)),
                Kind::Constant(_) => places[index] = Some(Place::Constant(id)),
                Kind::State(name) => places[index] = Some(Place::State(name.clone())),
            }
            match &node.kind {
                Kind::Op(_) => continue,
                Kind::State(_) => states += node.ty.bytes(),
                Kind::Input(_) | Kind::Constant(_) => inputs += node.ty.bytes(),
            }
            largest_fixed = largest_fixed.max(node.ty.bytes());
        }
        let wholes = write_in_place(&mut steps, &mut values, packings);
        let apart = apart(&steps, values.len());
        let pool = share(&mut values, &apart, &wholes);
        // The first run of a node is the one that can be read.
        let mut recorded = vec![None; schedule.recorded];
        for (place, id) in places.into_iter().zip(origin).rev() {
            recorded[id.0] = place;
        }
        let places = recorded;
        let half = origin.iter().zip(&schedule.half).filter(|(_, half)| **half).map(|(id, _)| *id).collect();
        Plan { steps, values, pool, places, states, packed, inputs, half, largest_fixed, pace: target.pace }
    }
}

/// The names of states that share a buffer, its bytes, and those that they would take separately.
fn together(nodes: &[Node], states: &[NodeId]) -> (Vec<String>, u64, u64) {
    let nodes = states.iter().map(|id| &nodes[id.0]);
    let names = nodes.clone().filter_map(|node| match &node.kind {
        Kind::State(name) => Some(name.clone()),
        _ => None,
    });
    let packing = Packing::of(nodes.clone().map(|node| node.ty.shape.len()));
    (names.collect(), packing.len as u64 * 4, nodes.map(|node| node.ty.bytes()).sum())
}

/// Lets the inputs of steps with a packing be written directly into the output, given these steps and the offset at
/// which each input begins, if both are stored alike: their copies are omitted. Some must still be copied: those that
/// are not values of the plan, occur twice or are packed themselves, and those whose kernel reads another one, since no
/// dispatch may write and read one buffer.
fn write_in_place(steps: &mut [Step], values: &mut [Value], packings: Vec<(usize, Vec<Option<u64>>)>) -> Vec<Whole> {
    let apart = apart(steps, values.len());
    let mut wholes: Vec<Whole> = Vec::new();
    for (index, starts) in packings {
        let step = &mut steps[index];
        let mut whole = Whole { value: step.output, parts: Vec::new() };
        let mut placed = vec![false; starts.len()];
        for (input, start) in starts.into_iter().enumerate() {
            let (&Place::Value(part), Some(start)) = (&step.inputs[input], start) else { continue };
            let once = step.inputs.iter().filter(|place| **place == Place::Value(part)).count() == 1;
            let taken = wholes.iter().flat_map(|whole| &whole.parts).any(|(other, _)| *other == part);
            let packed = wholes.iter().any(|whole| whole.value == part);
            if once && !taken && !packed && !whole.parts.iter().any(|(other, _)| apart[part].contains(other)) {
                whole.parts.push((part, start));
                placed[input] = true;
                let end = (*values[part].life.end()).max(*values[whole.value].life.end());
                values[whole.value].life = index..=end;
                values[part].life = *values[part].life.start()..=index - 1;
            }
        }
        let copies = |launch: &Launch| launch.bindings.iter().any(|slot| matches!(slot, Slot::Input(i) if placed[*i]));
        let launches = std::mem::take(&mut step.launches.list).into_iter().zip(std::mem::take(&mut step.traffic));
        (step.launches.list, step.traffic) = launches.filter(|(launch, _)| !copies(launch)).unzip();
        wholes.push(whole);
    }
    wholes
}

/// For every value, those that a step reads or writes when it writes this one, and those that it writes when it reads
/// this one.
fn apart(steps: &[Step], values: usize) -> Vec<Vec<usize>> {
    let mut apart = vec![Vec::new(); values];
    for step in steps {
        let bound = step.launches.list.iter().flat_map(|launch| &launch.bindings);
        let read = bound.filter_map(|slot| match slot {
            Slot::Input(input) => match step.inputs[*input] {
                Place::Value(value) => Some(value),
                _ => None,
            },
            _ => None,
        });
        let written: Vec<_> = std::iter::once(step.output).chain(step.scratch.iter().copied()).collect();
        let bound: Vec<_> = written.iter().copied().chain(read).collect();
        for (index, &one) in written.iter().enumerate() {
            for &other in &bound[index + 1..] {
                apart[one].push(other);
                apart[other].push(one);
            }
        }
    }
    apart
}

/// Bytes of everything that a launch binds.
fn traffic(launch: &Launch, context: &LaunchContext<'_>, launches: &Launches) -> u64 {
    let bytes = |(number, slot): (usize, &Slot)| {
        let whole: u64 = match *slot {
            Slot::Input(index) => context.inputs[index].bytes(),
            Slot::Output => context.output.bytes(),
            Slot::Scratch(index) => launches.scratch[index] as u64 * 4,
            Slot::States { first, count } => context.inputs[first..first + count].iter().map(|ty| ty.bytes()).sum(),
        };
        whole / if launch.half.contains(&number) { 2 } else { 1 }
    };
    (1..).zip(&launch.bindings).map(bytes).sum()
}
