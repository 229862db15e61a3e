//! The parts of a graph: nodes, the ops that compute them, and handles.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::Chain;
use crate::engine::kernel::{LaunchContext, Launches, Packing};
use crate::engine::ranks::Exchange;
use crate::engine::reference::Array;
use crate::engine::types::{Storage, TensorType};
use crate::error::{Error, Result};

/// Index of a node; nodes are in the order of recording, inputs before users.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) usize);

/// The source of a node's value.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Written by the host before each run.
    Input(String),
    /// Persistent between runs and shared by name between programs: parameters, moments, running statistics.
    State(String),
    /// Fixed values.
    Constant(Arc<[f64]>),
    /// Computed.
    Op(Arc<dyn Op>),
}

impl Kind {
    /// Its name and type for messages.
    pub(super) fn described(&self, ty: &TensorType) -> String {
        match self {
            Kind::Input(name) => format!("input `{name}` {ty:?}"),
            Kind::State(name) => format!("state `{name}` {ty:?}"),
            Kind::Constant(_) => format!("a constant {ty:?}"),
            Kind::Op(op) => format!("the result {ty:?} of {}", op.name()),
        }
    }
}

/// One node of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// The source of the value.
    pub kind: Kind,
    /// Operands.
    pub inputs: Vec<NodeId>,
    /// The value's type.
    pub ty: TensorType,
    /// The line that recorded it.
    pub at: &'static Location<'static>,
    /// The part of the computation that it belongs to, see [`Graph::begin`].
    pub part: &'static str,
    /// Whether it was recorded by a gradient.
    pub gradient: bool,
    /// Its storage, see [`Graph::stored`].
    pub storage: Storage,
    /// Whether gradients end here, see [`Graph::without_gradient`].
    pub constant: bool,
}

impl Node {
    /// Whether it updates states, and so has no value of its own.
    pub fn is_update(&self) -> bool {
        self.op().is_some_and(|op| !op.mutates().is_empty())
    }

    /// The op, if the node is computed.
    pub fn op(&self) -> Option<&Arc<dyn Op>> {
        match &self.kind {
            Kind::Op(op) => Some(op),
            _ => None,
        }
    }
}

/// The node whose storage `id` has among `nodes`: the one that its aliases rename.
pub(crate) fn root(nodes: &[Node], mut id: NodeId) -> NodeId {
    while nodes[id.0].op().is_some_and(|op| op.is_alias()) {
        id = nodes[id.0].inputs[0];
    }
    id
}

/// A recording. Clones share the same nodes.
///
/// Sources, `state` and `constant`, are recorded without a `Result`, so that layers can be created
/// without one. An error there is stored and returned by every later use of the recording.
///
/// Threads may share a graph, but the order of what they record is then undefined; use a graph from one thread at a
/// time.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Arc<Mutex<Recording>>);

impl Graph {
    /// The recording. The lock is held for single reads and writes, never while code of a caller runs.
    pub(super) fn lock(&self) -> MutexGuard<'_, Recording> {
        // A recording is consistent between any two of these reads and writes, even if a thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The contents of a recording.
#[derive(Default)]
pub(super) struct Recording {
    pub(super) nodes: Vec<Node>,
    /// The node of every state.
    pub(super) states: HashMap<String, NodeId>,
    /// Initial values of states for which a session has no value.
    pub(super) first_values: Vec<(NodeId, f64)>,
    pub(super) mistake: Option<Error>,
    pub(super) random_streams: u32,
    pub(super) part: &'static str,
    pub(super) storage: Storage,
    /// Whether gradients end at what is recorded.
    pub(super) constant: bool,
    /// Weights in half precision, by the values that they round.
    pub(super) weights: HashMap<NodeId, NodeId>,
    pub(super) hoisted: Vec<NodeId>,
    /// Whether a gradient is being recorded.
    pub(super) differentiates: bool,
    pub(super) memory_limit: Option<u64>,
}

/// A value of a [`Graph`]: recorded, not computed. Its methods are defined with the ops, in `src/engine/ops/`.
#[derive(Clone)]
pub struct Tensor {
    pub(super) graph: Graph,
    pub(super) id: NodeId,
    pub(super) ty: TensorType,
}

/// One operation of the engine.
///
/// An op consists of four parts of one name: `shaders/<op>.wgsl`, `src/engine/ops/<op>.rs` (this trait),
/// `src/engine/reference/<op>.rs` and a row of `tests/ops/table.rs`. Ops do not access a device: [`Op::launches`] only
/// describes.
pub trait Op: Debug + Send + Sync + 'static {
    /// The name that the four parts share.
    fn name(&self) -> &'static str;

    /// Shape rule: the output's type, or why the operands are invalid.
    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// Records the gradient with respect to every input; `None` for an input without gradient (labels, boxes).
    ///
    /// Ops without a gradient keep this default, and differentiating through them fails while the graph is built.
    fn backward(&self, _context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Err(BackwardError::Undefined)
    }

    /// The dispatches that compute the output, which is not empty; inputs may be.
    fn launches(&self, context: &LaunchContext<'_>) -> Launches;

    /// The same computation in f64: one array, the output, which is not empty; for an op that [mutates](Op::mutates),
    /// the new value of each mutated input in order.
    fn reference(&self, inputs: &[&Array]) -> Vec<Array>;

    /// Whether the output is the first input with another shape: nothing runs and the storage is shared.
    fn is_alias(&self) -> bool {
        false
    }

    /// Inputs (all of them states) that are updated in place. Such an op runs even if nothing reads its output.
    fn mutates(&self) -> &[usize] {
        &[]
    }

    /// The offset of each input in the output, if the output is a concatenation of the inputs. A device lets
    /// the kernel that computes an input write it there, if possible, and omits the launch that would copy it.
    fn packing(&self, _inputs: &[&TensorType]) -> Option<Packing> {
        None
    }

    /// What the host exchanges with other ranks, and the number of all ranks, if the output comes from there. Such an
    /// op has one input and no launches.
    fn exchange(&self) -> Option<(Exchange, usize)> {
        None
    }

    /// The function computed, if this op is element-wise and may be fused with its neighbours.
    fn elementwise(&self) -> Option<&Chain> {
        None
    }
}

impl dyn Op {
    /// The dispatches that run: none for an op whose result is empty, which its launches need not count.
    pub(crate) fn dispatches(&self, context: &LaunchContext<'_>) -> Launches {
        if context.output.shape.is_empty() { Launches::default() } else { self.launches(context) }
    }
}

/// The arguments of [`Op::backward`].
pub struct Backward<'a> {
    /// The op's inputs.
    pub inputs: &'a [Tensor],
    /// The op's output.
    pub output: &'a Tensor,
    /// Gradient of the objective with respect to the output; never assumed to be 1.
    pub grad: &'a Tensor,
    /// Which inputs need a gradient; work for the others may be skipped.
    pub needed: &'a [bool],
}

/// Why a gradient cannot be recorded.
#[derive(Debug)]
pub enum BackwardError {
    /// The op has no gradient.
    Undefined,
    /// Recording it failed.
    Record(crate::error::Error),
}

impl From<crate::error::Error> for BackwardError {
    fn from(error: crate::error::Error) -> Self {
        BackwardError::Record(error)
    }
}
