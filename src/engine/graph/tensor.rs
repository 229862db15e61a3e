//! A handle to a node.

use std::panic::Location;
use std::sync::Arc;

use super::node::{Graph, Kind, Node, NodeId, Op, Tensor, root};
use crate::engine::types::{DType, Shape, Storage, TensorType};
use crate::error::{Error, Result};

impl Tensor {
    pub(super) fn new(graph: Graph, id: NodeId, ty: TensorType) -> Self {
        Tensor { graph, id, ty }
    }

    /// The recording it belongs to.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Shape and element type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Extents.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// The shape of a tensor that must have `N` axes.
    ///
    /// # Errors
    /// If it has another number of them.
    #[track_caller]
    pub fn extents<const N: usize>(&self) -> Result<[usize; N]> {
        match <[usize; N]>::try_from(&self.shape()[..]) {
            Ok(extents) => Ok(extents),
            Err(_) => Err(Error::misuse(format!("{self:?} does not have {N} axes"))),
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The name, if it is an input or a state.
    pub fn name(&self) -> Option<String> {
        match &self.graph.lock().nodes[self.id.0].kind {
            Kind::Input(name) | Kind::State(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether it is an input.
    pub fn is_input(&self) -> bool {
        matches!(self.graph.lock().nodes[self.id.0].kind, Kind::Input(_))
    }

    /// Whether it is a state.
    pub fn is_state(&self) -> bool {
        matches!(self.graph.lock().nodes[self.id.0].kind, Kind::State(_))
    }

    /// Whether it is an update of a state, which has no value of its own.
    pub(crate) fn is_update(&self) -> bool {
        self.graph.lock().nodes[self.id.0].is_update()
    }

    /// Whether its storage is that of a state, possibly with another shape.
    pub(crate) fn lies_in_state(&self) -> bool {
        let recording = self.graph.lock();
        matches!(recording.nodes[root(&recording.nodes, self.id).0].kind, Kind::State(_))
    }

    /// Asks a device to compute this value before all nodes that it does not depend on, regardless of the order of
    /// recording, so that the memory of its computation is free when the rest begins. No value changes, since updates
    /// of states keep their order. It has no effect if the value is not read.
    pub fn hoist(&self) {
        self.graph.lock().hoisted.push(self.id);
    }

    /// Whether the state in which it lies was updated after `since` was recorded.
    pub(crate) fn is_updated_since(&self, since: &Tensor) -> bool {
        let recording = self.graph.lock();
        let nodes = &recording.nodes;
        nodes.get(since.id.0..).is_some_and(|later| updates(later, root(nodes, self.id)))
    }

    /// This weight as the operand of a product with `x`: in half precision, if features are stored so, `x` is one, and no
    /// gradient flows (see [`Graph::without_gradient`]).
    #[track_caller]
    pub(crate) fn weight_for(&self, x: &Tensor) -> Result<Tensor> {
        // The product refuses these.
        if !self.graph.is(&x.graph) || self.dtype() != DType::F32 {
            return Ok(self.clone());
        }
        let (root, known) = {
            let recording = self.graph.lock();
            let is_half = |storage| storage != Storage::Whole;
            let feature = is_half(recording.storage) && is_half(recording.nodes[x.id.0].storage);
            if !recording.constant || !feature {
                return Ok(self.clone());
            }
            let root = root(&recording.nodes, self.id);
            // A view from before an update has the old value.
            let updated = updates(&recording.nodes[self.id.0..], root);
            let root = if updated && root != self.id { self.id } else { root };
            (root, recording.weights.get(&root).copied())
        };
        let rounded = match known {
            Some(known) => self.graph.tensor(known),
            // A function of its elements, which is fused with those before it.
            None => {
                let rounded = self.graph.stored(Storage::HalfWeight, || self.graph.tensor(root).scale(1.0))?;
                self.graph.lock().weights.insert(root, rounded.id);
                rounded
            }
        };
        rounded.reshape(self.shape().clone())
    }

    /// Records `op` on `inputs`.
    ///
    /// # Errors
    /// [`Error::Op`] with the shapes and the caller's line if the op's shape rule refuses them or if they belong to
    /// different graphs.
    #[track_caller]
    pub fn record(op: impl Op, inputs: &[&Tensor]) -> Result<Tensor> {
        Self::record_again(Arc::new(op), inputs)
    }

    /// Records an op that may already be in another graph.
    ///
    /// # Errors
    /// As [`Tensor::record`].
    #[track_caller]
    pub(crate) fn record_again(op: Arc<dyn Op>, inputs: &[&Tensor]) -> Result<Tensor> {
        let at = Location::caller();
        let refuse = |reason: String| Error::Op {
            op: op.name(),
            shapes: inputs.iter().map(|input| format!("{:?}", input.ty)).collect::<Vec<_>>().join(" "),
            reason,
            at,
        };
        let Some(first) = inputs.first() else { return Err(refuse("needs an operand".into())) };
        if inputs.iter().any(|input| !input.graph.is(&first.graph)) {
            return Err(refuse("the operands belong to different graphs".into()));
        }
        let types: Vec<_> = inputs.iter().map(|input| &input.ty).collect();
        // A mismatch may be caused by an earlier error, which is then returned instead.
        let refuse = |reason| first.graph.check().err().unwrap_or_else(|| refuse(reason));
        let ty = op.output(&types).map_err(refuse)?;
        if ty.shape.is_boundless() {
            return Err(refuse(format!("its result {ty:?} has more elements than any device can store")));
        }
        let inputs = inputs.iter().map(|input| input.id).collect();
        Ok(first.graph.push(Kind::Op(op), inputs, ty, at))
    }
}

/// Whether one of `nodes` updates `state`.
fn updates(nodes: &[Node], state: NodeId) -> bool {
    let updates = |node: &Node| {
        let updated = node.op().map_or(&[][..], |op| op.mutates());
        updated.iter().any(|&slot| node.inputs[slot] == state)
    };
    nodes.iter().any(updates)
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "`{name}` {:?}", self.ty),
            None => write!(f, "%{} {:?}", self.id.0, self.ty),
        }
    }
}
