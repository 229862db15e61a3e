//! What a recording consists of: nodes, the ops that compute them, and the handles to both.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::Chain;
use crate::engine::kernel::{LaunchContext, Launches, Packing};
use crate::engine::reference::Array;
use crate::engine::types::{Storage, TensorType};
use crate::error::{Error, Result};

/// Index of a node; nodes stand in the order of recording, inputs before users.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) usize);

/// Where a node's value comes from.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Written by the host before each run.
    Input(String),
    /// Kept between runs and shared by name between programs: parameters, moments, running statistics.
    State(String),
    /// Fixed values.
    Constant(Arc<[f64]>),
    /// Computed.
    Op(Arc<dyn Op>),
}

impl Kind {
    /// What a person calls it, with its type.
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
    /// Where the value comes from.
    pub kind: Kind,
    /// Operands.
    pub inputs: Vec<NodeId>,
    /// The value's type.
    pub ty: TensorType,
    /// The line that recorded it.
    pub at: &'static Location<'static>,
    /// The part of the computation that it belongs to, see [`Graph::begin`].
    pub part: &'static str,
    /// Whether a gradient recorded it.
    pub gradient: bool,
    /// How it may be stored, see [`Graph::stored`].
    pub storage: Storage,
}

impl Node {
    /// The op, if the node is computed.
    pub fn op(&self) -> Option<&Arc<dyn Op>> {
        match &self.kind {
            Kind::Op(op) => Some(op),
            _ => None,
        }
    }
}

/// A recording. Clones share the same nodes.
///
/// Values that come from nowhere, `state` and `constant`, are recorded without a `Result`, so that layers are made
/// without one. A mistake there is kept, and is the error of everything that is asked of the recording later.
///
/// Threads may share a graph, but what they record then stands in any order; a graph is meant for one at a time.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Arc<Mutex<Recording>>);

impl Graph {
    /// The recording. The lock is held for single reads and writes, never while code of a caller runs.
    pub(super) fn lock(&self) -> MutexGuard<'_, Recording> {
        // A recording is whole between any two of these reads and writes, also where a thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a recording holds.
#[derive(Default)]
pub(super) struct Recording {
    pub(super) nodes: Vec<Node>,
    /// The node of every state.
    pub(super) states: HashMap<String, NodeId>,
    /// What states hold at first, where a session has no value for them.
    pub(super) first_values: Vec<(NodeId, f64)>,
    pub(super) mistake: Option<Error>,
    pub(super) random_streams: u32,
    pub(super) part: &'static str,
    pub(super) storage: Storage,
    pub(super) hoisted: Vec<NodeId>,
    /// Whether a gradient is being recorded.
    pub(super) differentiates: bool,
    pub(super) memory_limit: Option<u64>,
}

/// A value of a [`Graph`]: recorded, not computed. Its methods live beside the ops, in `src/ops/`.
#[derive(Clone)]
pub struct Tensor {
    pub(super) graph: Graph,
    pub(super) id: NodeId,
    pub(super) ty: TensorType,
}

/// One operation of the engine.
///
/// An op lives in four places of one name: `shaders/<op>.wgsl`, `src/ops/<op>.rs` (this trait),
/// `src/reference/<op>.rs` and a row of `tests/ops.rs`. Ops know no device: [`Op::launches`] only describes.
pub trait Op: Debug + Send + Sync + 'static {
    /// The file name that the four places share.
    fn name(&self) -> &'static str;

    /// Shape rule: the output's type, or the reason why the operands do not fit.
    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// Records the gradient with respect to every input; `None` where an input takes none (labels, boxes).
    ///
    /// Ops without a gradient keep this default, and differentiating through them fails while the graph is built.
    fn backward(&self, _context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Err(BackwardError::Undefined)
    }

    /// The dispatches that compute the output, which is not empty; inputs may be.
    fn launches(&self, context: &LaunchContext<'_>) -> Launches;

    /// The same computation in f64: one array, the output, which is not empty; for an op that [mutates](Op::mutates), the new value of
    /// each mutated input in order.
    fn reference(&self, inputs: &[&Array]) -> Vec<Array>;

    /// Whether the output is the first input under another shape: nothing runs and the storage is shared.
    fn is_alias(&self) -> bool {
        false
    }

    /// Inputs (all of them states) that are updated in place. Such an op runs even if nothing reads its output.
    fn mutates(&self) -> &[usize] {
        &[]
    }

    /// Where each input begins in the output, if that is nothing but the inputs one behind the other. A device lets
    /// whoever computes an input write it there, where it can, and leaves out the launch that would copy it.
    fn packing(&self, _inputs: &[&TensorType]) -> Option<Packing> {
        None
    }

    /// The function computed, if this op acts on every element alone and may be fused with its neighbours.
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

/// What [`Op::backward`] sees.
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
