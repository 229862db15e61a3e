//! Runs a graph on the CPU in f64: no device, no plan, one op after another. What overflows in f32 is infinite.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Graph, Kind, Node, NodeId};
use crate::engine::ranks::Peers;
use crate::engine::reference::{Array, half};
use crate::error::{Error, Result};

/// Values that persist between runs, by name. Clones share them.
#[derive(Clone, Default)]
pub struct ArrayStates(Arc<Mutex<HashMap<String, Array>>>);

impl ArrayStates {
    /// The arrays by their names.
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<String, Array>> {
        // Arrays are inserted whole, so the map stays consistent if a thread panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes values infinite that are so in f32. Only results count: what overflows on the way to a finite one differs
/// between kernels.
fn overflow(array: &mut Array) {
    for value in &mut array.data {
        let single = f64::from(*value as f32);
        if single.is_infinite() {
            *value = single;
        }
    }
}

/// A graph with the values of its last run.
pub struct Interpreter {
    nodes: Vec<Node>,
    live: Vec<bool>,
    last_use: Vec<usize>,
    /// Values that a device stores in half precision: they are rounded here, too.
    half: Vec<bool>,
    inputs: HashMap<NodeId, Array>,
    values: HashMap<NodeId, Array>,
    states: ArrayStates,
    peers: Peers,
}

impl Interpreter {
    /// Prepares `graph` to compute `outputs`; the values of `half` are rounded to half precision.
    pub(crate) fn new(graph: &Graph, outputs: &[NodeId], half: &[NodeId], states: &ArrayStates, peers: &Peers) -> Self {
        let nodes = graph.nodes();
        let mut rounded = vec![false; nodes.len()];
        half.iter().for_each(|id| rounded[id.0] = true);
        let live = graph.live(outputs);
        let mut last_use = vec![0; nodes.len()];
        for (index, node) in nodes.iter().enumerate().filter(|(index, _)| live[*index]) {
            last_use[index] = index;
            for input in &node.inputs {
                last_use[input.0] = index;
            }
        }
        for output in outputs {
            last_use[output.0] = usize::MAX;
        }
        let (inputs, values) = (HashMap::new(), HashMap::new());
        let (states, peers) = (states.clone(), peers.clone());
        Interpreter { nodes, live, last_use, half: rounded, inputs, values, states, peers }
    }

    /// Sets an input.
    pub fn write(&mut self, id: NodeId, values: Vec<f64>) {
        // One that was recorded later is not needed.
        if let Some(node) = self.nodes.get(id.0) {
            self.inputs.insert(id, Array::new(&node.ty.shape, values));
        }
    }

    /// Computes everything once.
    ///
    /// # Errors
    /// [`Error::Graph`] naming an input or a state without a value.
    pub fn run(&mut self) -> Result<()> {
        self.values.clear();
        let mut states = self.states.lock();
        for (index, node) in self.nodes.iter().enumerate().filter(|(index, _)| self.live[*index]) {
            let Kind::Op(op) = &node.kind else {
                if let Kind::Constant(values) = &node.kind {
                    let mut values = Array::new(&node.ty.shape, values.to_vec());
                    overflow(&mut values);
                    self.values.insert(NodeId(index), values);
                }
                continue;
            };
            let mut outputs = {
                let inputs = node
                    .inputs
                    .iter()
                    .map(|input| match &self.nodes[input.0].kind {
                        Kind::Input(name) => self
                            .inputs
                            .get(input)
                            .ok_or_else(|| Error::Graph(format!("input `{name}` was never written"))),
                        Kind::State(name) => {
                            states.get(name).ok_or_else(|| Error::Graph(format!("state `{name}` has no value")))
                        }
                        _ => Ok(&self.values[input]),
                    })
                    .collect::<Result<Vec<_>>>()?;
                match op.exchange() {
                    _ if node.ty.shape.is_empty() => vec![Array::zeros(&node.ty.shape)],
                    Some((exchange, _)) => vec![Array::new(&node.ty.shape, self.peers.f64(exchange, &inputs[0].data)?)],
                    None => op.reference(&inputs),
                }
            };
            outputs.iter_mut().for_each(overflow);
            if op.mutates().is_empty() {
                let output = outputs.into_iter().next().map(|mut output| {
                    if self.half[index] {
                        output.data.iter_mut().for_each(|value| *value = half::stored(*value));
                    }
                    (NodeId(index), output)
                });
                self.values.extend(output);
            } else {
                for (&slot, new) in op.mutates().iter().zip(outputs) {
                    if let Kind::State(name) = &self.nodes[node.inputs[slot].0].kind {
                        states.insert(name.clone(), new);
                    }
                }
            }
            for input in node.inputs.iter().filter(|input| self.last_use[input.0] == index) {
                self.values.remove(input);
            }
        }
        Ok(())
    }

    /// The value of an output, input or state after the last run.
    ///
    /// # Errors
    /// [`Error::Graph`] if it is not stored.
    pub fn read(&self, id: NodeId) -> Result<Vec<f64>> {
        let kept = match &self.nodes[id.0].kind {
            Kind::State(name) => self.states.lock().get(name).cloned(),
            Kind::Input(_) => self.inputs.get(&id).cloned(),
            _ => self.values.get(&id).cloned(),
        };
        kept.map(|array| array.data).ok_or_else(|| Error::Graph(format!("%{} is not stored", id.0)))
    }
}
