//! Recording of sources and nodes, and queries.

use std::panic::Location;
use std::sync::Arc;

use super::node::{Graph, Kind, Node, NodeId, Recording, Tensor, root};
use crate::engine::types::{DType, Shape, Storage, TensorType};
use crate::error::{Error, Result};

impl Graph {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a part of the computation: nodes recorded from here on are listed as `part` in the profile.
    pub fn begin(&self, part: &'static str) {
        self.lock().part = part;
    }

    /// Lets the values that `record` records be stored as `storage`, whatever the surrounding setting; all others are
    /// stored in full precision. Inputs, states, constants, outputs, and values computed only from states always are, but
    /// see [`Graph::without_gradient`].
    ///
    /// ```
    /// use tagseg::engine::graph::{DType, Graph, Storage};
    ///
    /// let graph = Graph::new();
    /// let x = graph.input("x", [2, 8], DType::F32);
    /// let hidden = graph.stored(Storage::Half, || x.gelu())?;
    /// let y = hidden.softmax(-1)?;
    /// # Ok::<(), tagseg::Error>(())
    /// ```
    pub fn stored<T>(&self, storage: Storage, record: impl FnOnce() -> T) -> T {
        let around = std::mem::replace(&mut self.lock().storage, storage);
        let recorded = record();
        self.lock().storage = around;
        recorded
    }

    /// Ends gradients at the values that `record` records, as [`Tensor::detach`] does. Where features are stored in half
    /// precision, the weights that [`Tensor::linear`] and [`Tensor::conv2d`] multiply by them here are rounded to it, too:
    /// products of halves are exact in f32, and some devices have faster instructions for them.
    ///
    /// ```
    /// use tagseg::engine::graph::{DType, Graph};
    ///
    /// let graph = Graph::new();
    /// let x = graph.input("x", [2, 8], DType::F32);
    /// let target = graph.without_gradient(|| x.softmax(-1))?;
    /// # Ok::<(), tagseg::Error>(())
    /// ```
    pub fn without_gradient<T>(&self, record: impl FnOnce() -> T) -> T {
        let around = std::mem::replace(&mut self.lock().constant, true);
        let recorded = record();
        let mut recording = self.lock();
        recording.constant = around;
        if !around {
            recording.weights.clear();
        }
        recorded
    }

    /// Records with gradients and in full precision, whatever the surrounding settings: for a value that other parts of
    /// the computation share.
    pub(crate) fn apart<T>(&self, record: impl FnOnce() -> T) -> T {
        let around = std::mem::replace(&mut self.lock().constant, false);
        let recorded = self.stored(Storage::Whole, record);
        self.lock().constant = around;
        recorded
    }

    /// A value that the host writes before each run.
    #[track_caller]
    pub fn input(&self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.source(Kind::Input(name.to_owned()), TensorType { shape: shape.into(), dtype })
    }

    /// A real tensor that persists between runs, identified by its name. Recording a name twice returns the same node;
    /// with another shape, it is an error.
    #[track_caller]
    pub fn state(&self, name: &str, shape: impl Into<Shape>) -> Tensor {
        let ty = TensorType::f32(shape);
        let found = self.lock().states.get(name).copied();
        if let Some(id) = found {
            let known = self.tensor(id).ty;
            if known == ty {
                return Tensor::new(self.clone(), id, ty);
            }
            self.mistake(Error::misuse(format!("state `{name}` is {known:?}, but was recorded again as {ty:?}")));
        }
        let state = self.source(Kind::State(name.to_owned()), ty);
        self.lock().states.entry(name.to_owned()).or_insert(state.id);
        state
    }

    /// As [`Graph::state`]; a session without a state of that name creates it when it compiles the graph,
    /// filled with `value`. The moments of an optimiser are initialised so.
    #[track_caller]
    pub fn state_filled(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Tensor {
        let state = self.state(name, shape);
        self.lock().first_values.push((state.id, value));
        state
    }

    /// The states that a session may have to create, each with its initial value.
    pub(crate) fn first_values(&self) -> Vec<(String, TensorType, f64)> {
        let recording = self.lock();
        let filled = recording.first_values.iter().filter_map(|&(id, value)| match &recording.nodes[id.0] {
            Node { kind: Kind::State(name), ty, .. } => Some((name.clone(), ty.clone(), value)),
            _ => None,
        });
        filled.collect()
    }

    /// Fixed real values, as many as the shape has elements.
    #[track_caller]
    pub fn constant(&self, values: &[f64], shape: impl Into<Shape>) -> Tensor {
        let ty = TensorType::f32(shape);
        if values.len() != ty.shape.len() {
            self.mistake(Error::misuse(format!("a constant {ty:?} was given {} values", values.len())));
        }
        self.source(Kind::Constant(values.into()), ty)
    }

    /// A constant without axes.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Tensor {
        self.constant(&[value], [])
    }

    /// A constant filled with one value. Takes the memory of one element, since it is broadcast.
    #[track_caller]
    pub fn full(&self, value: f64, shape: impl Into<Shape>) -> Result<Tensor> {
        self.scalar(value).expand(shape)
    }

    /// Stores an error; only the first one is kept.
    pub(crate) fn mistake(&self, error: Error) {
        self.lock().mistake.get_or_insert(error);
    }

    /// Checks that the recording has no error.
    ///
    /// # Errors
    /// The first error of the recording.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.lock().mistake {
            Some(error) => Err(Error::Graph(error.to_string())),
            None => Ok(()),
        }
    }

    /// Random streams used so far.
    pub fn random_streams(&self) -> u32 {
        self.lock().random_streams
    }

    /// Resets the counter of streams to `taken`, so that the following ops draw the same numbers again.
    pub fn reuse_random_streams(&self, taken: u32) {
        self.lock().random_streams = taken;
    }

    /// The number of a random stream that no other op of this graph uses.
    pub(crate) fn next_random_stream(&self) -> u32 {
        let streams = &mut self.lock().random_streams;
        *streams += 1;
        *streams
    }

    #[track_caller]
    fn source(&self, kind: Kind, mut ty: TensorType) -> Tensor {
        if ty.shape.is_boundless() {
            self.mistake(Error::misuse(format!("{} has more elements than any device can store", kind.described(&ty))));
            // Keep sizes of later nodes countable.
            ty.shape = vec![1; ty.shape.rank()].into();
        }
        self.push(kind, Vec::new(), ty, Location::caller())
    }

    pub(super) fn push(
        &self,
        kind: Kind,
        inputs: Vec<NodeId>,
        ty: TensorType,
        at: &'static Location<'static>,
    ) -> Tensor {
        let mut recording = self.lock();
        let Recording { part, differentiates: gradient, storage, constant, .. } = *recording;
        // A weight that an update changes is rounded again.
        let updated = if let Kind::Op(op) = &kind { op.mutates() } else { &[] };
        for &index in updated {
            let root = root(&recording.nodes, inputs[index]);
            recording.weights.remove(&root);
        }
        recording.nodes.push(Node { kind, inputs, ty: ty.clone(), at, part, gradient, storage, constant });
        Tensor::new(self.clone(), NodeId(recording.nodes.len() - 1), ty)
    }

    /// Limits the bytes of a plan of this graph on a device: if it would take more, the gradient recomputes cheap
    /// values instead of storing them.
    pub fn limit_memory(&self, bytes: u64) {
        self.lock().memory_limit = Some(bytes);
    }

    /// The limit set by [`Graph::limit_memory`].
    pub fn memory_limit(&self) -> Option<u64> {
        self.lock().memory_limit
    }

    /// Values marked with [`Tensor::hoist`].
    pub(crate) fn hoisted(&self) -> Vec<NodeId> {
        self.lock().hoisted.clone()
    }

    /// A copy of all nodes, in order.
    pub fn nodes(&self) -> Vec<Node> {
        self.lock().nodes.clone()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.lock().nodes.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node's tensor.
    ///
    /// # Panics
    /// If this recording has no such node, since `id` is of another one. An id does not say of which it is: for one
    /// that both have, the result is a tensor of this recording.
    pub fn tensor(&self, id: NodeId) -> Tensor {
        let ty = {
            let nodes = &self.lock().nodes;
            assert!(id.0 < nodes.len(), "{id:?} is of another graph: this one has {} nodes", nodes.len());
            nodes[id.0].ty.clone()
        };
        Tensor::new(self.clone(), id, ty)
    }

    /// Whether both are the same recording.
    pub fn is(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Nodes that must run to compute `outputs`: their ancestors, and every update of a state with its ancestors.
    ///
    /// # Panics
    /// As [`Graph::tensor`].
    pub fn live(&self, outputs: &[NodeId]) -> Vec<bool> {
        let nodes = &self.lock().nodes;
        let mut live = vec![false; nodes.len()];
        for output in outputs {
            assert!(output.0 < live.len(), "{output:?} is of another graph: this one has {} nodes", live.len());
            live[output.0] = true;
        }
        for index in (0..nodes.len()).rev() {
            let updates = nodes[index].op().is_some_and(|op| !op.mutates().is_empty());
            live[index] |= updates;
            if live[index] {
                for input in &nodes[index].inputs {
                    live[input.0] = true;
                }
            }
        }
        live
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, node) in self.nodes().iter().enumerate() {
            let inputs: Vec<_> = node.inputs.iter().map(|input| input.0).collect();
            match &node.kind {
                Kind::Op(op) => writeln!(f, "%{index}: {:?} = {:?} {inputs:?}", node.ty, op)?,
                Kind::Input(name) => writeln!(f, "%{index}: {:?} = input {name}", node.ty)?,
                Kind::State(name) => writeln!(f, "%{index}: {:?} = state {name}", node.ty)?,
                Kind::Constant(_) => writeln!(f, "%{index}: {:?} = constant", node.ty)?,
            }
        }
        Ok(())
    }
}
