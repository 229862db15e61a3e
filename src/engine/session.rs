//! The common interface of both engines: a device, or the f64 interpreter on the CPU.
//!
//! ```
//! use tagseg::Session;
//! use tagseg::engine::graph::{DType, Graph};
//!
//! let mut session = Session::open("reference")?;
//! session.set_state("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
//! let graph = Graph::new();
//! let x = graph.input("x", [1, 2], DType::F32);
//! let y = x.linear(&graph.state("w", [2, 2]), None)?;
//! let mut program = session.compile(&graph, &[&y])?;
//! program.write(&x, &[1.0_f32, 1.0])?;
//! program.run()?;
//! assert_eq!(program.read(&y)?, [3.0, 7.0]);
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! Functions that wait for a device have two forms: `read_async` returns a future, as a browser requires, and `read`
//! blocks. Everything else never waits.

use std::sync::Arc;

use super::backend::{Engine, OnDevice, OnInterpreter};
use super::gpu;
use super::graph::{Graph, NodeId, Tensor, TensorType};
use super::kernel::{KernelTable, Target};
pub use super::program::Program;
use super::ranks::World;
pub use super::values::Values;
#[cfg(not(target_arch = "wasm32"))]
use super::{graph::DType, ranks::Peers};
use crate::error::{Error, Result};

/// A device or the interpreter, with the states that programs share. Clones share them too, also in other threads.
#[derive(Clone)]
pub struct Session {
    engine: Arc<dyn Engine>,
}

impl Session {
    /// Opens a device: `auto`, an index, a part of an adapter's name, or `reference` for the CPU interpreter; or any
    /// [`gpu::DeviceChoice`]. Prints nothing, writes nothing, and reads no environment variables.
    ///
    /// Kernels are those of the table. [`self_test::tested`](super::self_test::tested) tests the fast ones among them
    /// and replaces those that this driver computes wrongly.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(device: impl Into<gpu::DeviceChoice>) -> Result<Self> {
        pollster::block_on(Self::open_async(device))
    }

    /// As `open`, without blocking. A browser offers one adapter, which is `auto`.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter.
    pub async fn open_async(device: impl Into<gpu::DeviceChoice>) -> Result<Self> {
        let choice = device.into();
        if choice.is_reference() {
            return Ok(Self::reference());
        }
        Ok(Self::on(gpu::Device::open(&choice).await?))
    }

    /// A session on an open device.
    pub(crate) fn on(device: gpu::Device) -> Self {
        Session { engine: Arc::new(OnDevice::new(device)) }
    }

    /// A session on the CPU interpreter.
    pub(crate) fn reference() -> Self {
        Session { engine: Arc::new(OnInterpreter::default()) }
    }

    /// Another session on the same device, with no states.
    pub fn fresh(&self) -> Self {
        Session { engine: self.engine.fresh() }
    }

    /// The same session with exactly these kernels, regardless of the self-test, unless the device was opened
    /// without their features; no effect for the interpreter. Tests use this to run the kernels of graphics cards on a
    /// software device.
    pub fn aimed_at(self, target: Target) -> Self {
        Session { engine: self.engine.aimed_at(target) }
    }

    /// The same session as one of several ranks, which run the same graphs together. Programs that are compiled from
    /// now on exchange values with them.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn among(self, world: World) -> Result<Self> {
        let flushes = world.is_shared() && !self.is_reference() && self.flushes()?;
        Ok(Session { engine: self.engine.among(Peers { world, flushes }) })
    }

    /// The ranks that run the graphs of this session together.
    pub fn world(&self) -> &World {
        &self.engine.peers().world
    }

    /// Whether additions replace numbers below the normal ones by zero.
    #[cfg(not(target_arch = "wasm32"))]
    fn flushes(&self) -> Result<bool> {
        let graph = Graph::new();
        let (x, y) = (graph.input("x", [1], DType::F32), graph.input("y", [1], DType::F32));
        let sum = x.add(&y)?;
        let mut program = self.fresh().compile(&graph, &[&sum])?;
        program.write(&x, &[1.5 * f32::MIN_POSITIVE])?;
        program.write(&y, &[-f32::MIN_POSITIVE])?;
        program.run()?;
        Ok(program.read(&sum)? == [0.0])
    }

    /// The device, unless it is the interpreter.
    pub(crate) fn device(&self) -> Option<&gpu::Device> {
        self.engine.device()
    }

    /// The target that kernels are chosen for; `None` on the interpreter.
    pub fn target(&self) -> Option<Target> {
        self.device().map(gpu::Device::target)
    }

    /// The kernel choices of a device, with the name of the section that they came from; none for the
    /// interpreter.
    pub fn kernels(&self) -> Option<KernelTable> {
        self.device().map(|device| KernelTable::of(device.section(), device.target().kernels))
    }

    /// The adapter's name, or `reference`.
    pub fn name(&self) -> &str {
        self.device().map_or("reference", gpu::Device::name)
    }

    /// Whether it is the f64 interpreter.
    pub fn is_reference(&self) -> bool {
        self.device().is_none()
    }

    /// Sets a state: creates it, or overwrites it in place, also for programs already compiled.
    ///
    /// # Errors
    /// [`Error::Graph`] if it exists with another shape or the number of values is wrong; [`Error::Memory`] if the
    /// device has no room for it.
    #[track_caller]
    pub fn set_state(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        let ty = TensorType::f32(shape);
        if ty.shape.is_boundless() {
            return Err(Error::misuse(format!("state `{name}` {ty:?} has more elements than any device can store")));
        }
        if values.len() != ty.shape.len() {
            return Err(Error::misuse(format!("state `{name}` {ty:?} was given {} values", values.len())));
        }
        if let Some(known) = self.engine.state_type(name).filter(|known| *known != ty) {
            return Err(Error::misuse(format!("state `{name}` is {known:?} and cannot become {ty:?}")));
        }
        self.engine.set_state(name, &ty, values)
    }

    /// Reads a state: its shape and values.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of that name.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn state(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        pollster::block_on(self.state_async(name))
    }

    /// As `state`, without blocking.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of that name.
    pub async fn state_async(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        self.engine.state(name).await
    }

    /// Reads many states at once, in the order of `names`: shape and values of each, rounded to f32.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of a name.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn states(&self, names: &[&str]) -> Result<Vec<(Vec<usize>, Vec<f32>)>> {
        pollster::block_on(self.states_async(names))
    }

    /// As `states`, without blocking.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is none of a name.
    pub async fn states_async(&self, names: &[&str]) -> Result<Vec<(Vec<usize>, Vec<f32>)>> {
        self.engine.states(names).await
    }

    /// Rounds every state to f32 on the interpreter, which computes in f64, so that they equal those of a
    /// checkpoint. A device stores f32 anyway.
    pub fn settle(&self) {
        self.engine.settle();
    }

    /// Loses the device, as if the driver failed.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        if let Some(device) = self.device() {
            device.device.destroy();
        }
    }

    /// Names of all states, sorted.
    pub fn state_names(&self) -> Vec<String> {
        let mut names = self.engine.state_names();
        names.sort();
        names
    }

    /// Prepares `graph` to be run; `outputs` can be read afterwards, and every recorded update of a state runs.
    ///
    /// # Errors
    /// [`Error::Graph`] if nothing would be computed, an output belongs to another graph, a state has no value, the
    /// recording has an error, or is for another number of ranks; [`Error::Memory`] if the plan does not fit the
    /// device, with its bytes; [`Error::Device`] if a kernel is refused.
    #[track_caller]
    pub fn compile(&self, graph: &Graph, outputs: &[&Tensor]) -> Result<Program> {
        let ids = ids(graph, outputs)?;
        self.check_ranks(graph)?;
        for (name, ty, value) in graph.first_values() {
            if self.engine.state_type(&name).is_none() {
                self.engine.set_state(&name, &ty, &vec![value as f32; ty.shape.len()])?;
            }
        }
        let compiled = self.engine.compile(graph, &ids)?;
        Ok(Program::new(graph, ids, compiled))
    }

    /// Refuses a graph that exchanges values among another number of ranks than this session has.
    fn check_ranks(&self, graph: &Graph) -> Result<()> {
        let here = self.world().size();
        let among = graph.nodes().iter().filter_map(|node| Some(node.op()?.exchange()?.1)).find(|ranks| *ranks != here);
        among.map_or(Ok(()), |ranks| {
            Err(Error::misuse(format!("the graph exchanges values among {ranks} ranks, but the session has {here}")))
        })
    }

    /// Bytes allocated on the device, if its interface reports them.
    pub fn allocated(&self) -> Option<u64> {
        self.device().and_then(gpu::Device::allocated)
    }

    /// The plan that [`Session::compile`] would prepare, without preparing it; `None` on the interpreter, which does
    /// not plan.
    ///
    /// # Errors
    /// [`Error::Memory`] with the planned bytes if it does not fit the device; also those of [`Session::compile`].
    #[track_caller]
    pub fn plan(&self, graph: &Graph, outputs: &[&Tensor]) -> Result<Option<gpu::Plan>> {
        self.engine.plan(graph, &ids(graph, outputs)?)
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self) -> Result<()> {
        pollster::block_on(self.wait_async())
    }

    /// As `wait`, without blocking.
    ///
    /// # Errors
    /// [`Error::Device`] if the device was lost.
    pub async fn wait_async(&self) -> Result<()> {
        self.engine.wait().await
    }
}

/// The nodes of `outputs`, which with the updates of states are what a program computes.
#[track_caller]
fn ids(graph: &Graph, outputs: &[&Tensor]) -> Result<Vec<NodeId>> {
    graph.check()?;
    if let Some(stranger) = outputs.iter().find(|output| !output.graph().is(graph)) {
        return Err(Error::misuse(format!("output {stranger:?} belongs to another graph")));
    }
    if outputs.is_empty() && !graph.live(&[]).contains(&true) {
        return Err(Error::misuse("the program has no outputs and updates no state; name the outputs"));
    }
    let ids: Vec<_> = outputs.iter().map(|output| output.id()).collect();
    let nodes = graph.nodes();
    for (node, _) in nodes.iter().zip(graph.live(&ids)).filter(|(_, live)| *live) {
        if let Some(op) = node.op().filter(|_| node.inputs.iter().any(|input| nodes[input.0].is_update())) {
            let shapes: Vec<_> = node.inputs.iter().map(|input| format!("{:?}", nodes[input.0].ty)).collect();
            let reason = "takes an update of a state, which has no value; give it the state".into();
            return Err(Error::Op { op: op.name(), shapes: shapes.join(" "), reason, at: node.at });
        }
    }
    Ok(ids)
}

/// Public types may be moved to another thread, except in a browser, whose devices belong to one.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    const fn moves_between_threads<T: Send>() {}
    moves_between_threads::<Graph>();
    moves_between_threads::<Tensor>();
    moves_between_threads::<Session>();
    moves_between_threads::<Program>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::DType;

    /// Protects: a device that is lost is an error of the next read, and never a panic or a wrong value.
    #[test]
    fn a_lost_device_is_an_error() {
        let mut session = Session::open("auto").unwrap();
        session.set_state("w", &[1], &[2.0]).unwrap();
        let graph = Graph::new();
        let x = graph.input("x", [1], DType::F32);
        let doubled = x.scale(2.0).unwrap();
        let mut program = session.compile(&graph, &[&doubled]).unwrap();
        let step = |program: &mut Program| -> Result<Vec<f64>> {
            program.write(&x, &[3.0_f32])?;
            program.run()?;
            program.read(&doubled)
        };
        assert_eq!(step(&mut program).unwrap(), [6.0]);
        session.lose();
        for _ in 0..4 {
            let lost = |error: Error| matches!(&error, Error::Device { reason, .. } if reason.contains("was lost"));
            assert!(step(&mut program).is_err_and(lost));
            assert!(session.state("w").is_err_and(lost));
            assert!(session.states(&["w"]).is_err_and(lost));
            assert!(session.wait().is_err_and(lost));
        }
    }

    /// Protects: a graph for other ranks than those of the session is refused before it runs.
    #[test]
    fn a_graph_for_other_ranks_is_refused() {
        let graph = Graph::new();
        let x = graph.input("x", [3], DType::F32);
        for y in [x.gather_ranks(2).unwrap(), x.sum_ranks(2).unwrap()] {
            let error = Session::reference().compile(&graph, &[&y]).err().unwrap().to_string();
            assert!(error.contains("among 2 ranks, but the session has 1"), "{error}");
        }
    }
}
