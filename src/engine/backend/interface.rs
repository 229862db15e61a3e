//! The backend interfaces of sessions and programs.

use std::pin::Pin;
use std::sync::Arc;

use crate::engine::gpu::{Device, KernelTime, Plan};
use crate::engine::graph::{Graph, NodeId, Tensor, TensorType};
use crate::engine::kernel::Target;
use crate::engine::ranks::Peers;
use crate::engine::values::Values;
use crate::error::Result;

/// A result that a device will deliver. It may be sent to another thread, except in a browser, whose devices belong to
/// one.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;
#[cfg(target_arch = "wasm32")]
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// `Send` and `Sync`, except in a browser.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) trait Portable: Send + Sync {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + Sync> Portable for T {}
#[cfg(target_arch = "wasm32")]
pub(crate) trait Portable {}
#[cfg(target_arch = "wasm32")]
impl<T> Portable for T {}

/// A device or the interpreter, with the states that programs share.
pub(crate) trait Engine: Portable {
    /// The device, unless it is the interpreter.
    fn device(&self) -> Option<&Device>;

    /// The ranks that run its graphs together.
    fn peers(&self) -> &Peers;

    /// The same backend with other ranks.
    #[cfg(not(target_arch = "wasm32"))]
    fn among(&self, peers: Peers) -> Arc<dyn Engine>;

    /// Another backend on the same device, without states.
    fn fresh(&self) -> Arc<dyn Engine>;

    /// The same backend with exactly these kernels.
    fn aimed_at(&self, target: Target) -> Arc<dyn Engine>;

    /// Sets a state, in place if it exists. The number of values is that of the type's elements.
    fn set_state(&self, name: &str, ty: &TensorType, values: &[f32]) -> Result<()>;

    /// The type of a state, if there is one of that name.
    fn state_type(&self, name: &str) -> Option<TensorType>;

    /// Reads a state.
    fn state<'a>(&'a self, name: &'a str) -> Answer<'a, (Vec<usize>, Vec<f64>)>;

    /// Reads states, rounded to f32.
    fn states<'a>(&'a self, names: &'a [&'a str]) -> Answer<'a, Vec<(Vec<usize>, Vec<f32>)>>;

    /// Names of all states, in any order.
    fn state_names(&self) -> Vec<String>;

    /// Rounds states to f32, the precision of a checkpoint.
    fn settle(&self);

    /// Prepares a graph to be run.
    fn compile(&self, graph: &Graph, outputs: &[NodeId]) -> Result<Box<dyn Runnable>>;

    /// The plan that `compile` would prepare; `None` for the interpreter.
    fn plan(&self, graph: &Graph, outputs: &[NodeId]) -> Result<Option<Plan>>;

    /// Waits until everything submitted has run.
    fn wait(&self) -> Answer<'_, ()>;
}

/// A compiled graph.
pub(crate) trait Runnable: Portable {
    /// Writes an input. The number of values is that of its elements.
    fn write(&mut self, input: &Tensor, values: &Values<'_>);

    /// Runs everything once.
    fn run(&mut self) -> Result<()>;

    /// The value of an output, an input or a state.
    fn read(&self, id: NodeId) -> Answer<'_, Vec<f64>>;

    /// Runs once and returns the time of every dispatch.
    fn profile(&mut self) -> Answer<'_, Vec<KernelTime>>;

    /// The plan, if there is one.
    fn plan(&self) -> Option<&Plan>;
}
