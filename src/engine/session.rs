//! One face for both engines: a device, or the f64 interpreter on the CPU.
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
//! What waits for a device has two forms: `read_async` gives a future, as a browser demands, and `read` waits for it.
//! Everything else never waits.

use crate::engine::gpu;
use crate::engine::graph::interpreter::{ArrayStates, Interpreter};
use crate::engine::graph::{DType, Graph, NodeId, Tensor, TensorType};
use crate::engine::kernel::{KernelTable, Target};
use crate::engine::reference::Array;
use crate::engine::self_test;
use crate::error::{Error, Result};

/// Where programs run, with the states that they share.
#[derive(Clone)]
pub struct Session {
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Gpu { device: Box<gpu::Device>, states: gpu::States },
    Reference(ArrayStates),
}

impl Session {
    /// Opens a device: `auto`, an index, a part of an adapter's name, or `reference` for the CPU interpreter; or all
    /// that a [`gpu::DeviceChoice`] can say.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(device: impl Into<gpu::DeviceChoice>) -> Result<Self> {
        pollster::block_on(Self::open_async(device))
    }

    /// As `open`, without blocking. A browser offers one adapter, which is `auto`.
    ///
    /// Kernels that fail their [self-test](self_test) on it are not chosen.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such adapter.
    pub async fn open_async(device: impl Into<gpu::DeviceChoice>) -> Result<Self> {
        let choice = device.into();
        if choice.adapter() == "reference" {
            return Ok(Self::reference());
        }
        let device = gpu::Device::open(&choice).await?;
        let folder = self_test::folder();
        let verdict = self_test::verdict(self_test::FAMILIES, &choice, &device, folder.as_deref()).await?;
        Ok(Self::on(device.aimed_at(verdict.target)))
    }

    /// A session on a device as it is.
    pub(crate) fn on(device: gpu::Device) -> Self {
        Session { engine: Engine::Gpu { device: Box::new(device), states: gpu::States::default() } }
    }

    /// A session on the CPU interpreter.
    pub(crate) fn reference() -> Self {
        Session { engine: Engine::Reference(ArrayStates::default()) }
    }

    /// Another session on the same device, with no states.
    pub fn fresh(&self) -> Self {
        match &self.engine {
            Engine::Gpu { device, .. } => Self::on(gpu::Device::clone(device)),
            Engine::Reference(_) => Self::reference(),
        }
    }

    /// The same session with exactly these kernels, whatever a self-test said of them, unless the device was opened
    /// without what they need; nothing else for the interpreter. Tests run the kernels of graphics cards on a software
    /// device so.
    pub fn aimed_at(self, target: Target) -> Self {
        let engine = match self.engine {
            Engine::Gpu { device, states } => Engine::Gpu { device: Box::new(device.aimed_at(target)), states },
            reference => reference,
        };
        Session { engine }
    }

    /// What kernels are chosen for; nothing on the interpreter.
    pub fn target(&self) -> Option<Target> {
        match &self.engine {
            Engine::Gpu { device, .. } => Some(device.target()),
            Engine::Reference(_) => None,
        }
    }

    /// The kernel choices that a device goes by, under the name of the section that they came from; none for the
    /// interpreter.
    pub fn kernels(&self) -> Option<KernelTable> {
        match &self.engine {
            Engine::Gpu { device, .. } => Some(KernelTable::of(device.section(), device.target().kernels)),
            Engine::Reference(_) => None,
        }
    }

    /// The adapter's name, or `reference`.
    pub fn name(&self) -> &str {
        match &self.engine {
            Engine::Gpu { device, .. } => device.name(),
            Engine::Reference(_) => "reference",
        }
    }

    /// Whether it is the f64 interpreter.
    pub fn is_reference(&self) -> bool {
        matches!(self.engine, Engine::Reference(_))
    }

    /// Sets a state: makes it, or overwrites it in place, also for programs already compiled.
    ///
    /// # Errors
    /// [`Error::Graph`] if it exists with another shape or the number of values is wrong.
    #[track_caller]
    pub fn set_state(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        let ty = TensorType::f32(shape);
        if ty.shape.is_boundless() {
            return Err(Error::misuse(format!("state `{name}` {ty:?} has more elements than any device holds")));
        }
        if values.len() != ty.shape.len() {
            return Err(Error::misuse(format!("state `{name}` {ty:?} was given {} values", values.len())));
        }
        if let Some(known) = self.state_type(name).filter(|known| *known != ty) {
            return Err(Error::misuse(format!("state `{name}` is {known:?}, it cannot become {ty:?}")));
        }
        match &self.engine {
            Engine::Gpu { device, states } => {
                states.set(device, name, &ty, values);
                Ok(())
            }
            Engine::Reference(states) => {
                let data = values.iter().map(|&value| f64::from(value)).collect();
                states.lock().insert(name.to_owned(), Array::new(shape, data));
                Ok(())
            }
        }
    }

    fn state_type(&self, name: &str) -> Option<TensorType> {
        match &self.engine {
            Engine::Gpu { states, .. } => states.ty(name),
            Engine::Reference(states) => states.lock().get(name).map(|array| TensorType::f32(&array.shape[..])),
        }
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
        match &self.engine {
            Engine::Gpu { device, states } => {
                let (ty, values) = states.get(device, name).await?;
                Ok((ty.shape.to_vec(), values.into_iter().map(f64::from).collect()))
            }
            Engine::Reference(states) => match states.lock().get(name) {
                Some(array) => Ok((array.shape.clone(), array.data.clone())),
                None => Err(Error::Graph(format!("state `{name}` has no value"))),
            },
        }
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
        match &self.engine {
            Engine::Gpu { device, states } => {
                let all = states.get_all(device, names).await?;
                Ok(all.into_iter().map(|(ty, values)| (ty.shape.to_vec(), values)).collect())
            }
            Engine::Reference(_) => {
                let mut all = Vec::with_capacity(names.len());
                for name in names {
                    let (shape, values) = self.state_async(name).await?;
                    all.push((shape, values.into_iter().map(|value| value as f32).collect()));
                }
                Ok(all)
            }
        }
    }

    /// Rounds every state to f32 on the interpreter, which computes in f64: what a checkpoint holds is then all there
    /// is. A device holds f32 anyway.
    pub fn settle(&self) {
        if let Engine::Reference(states) = &self.engine {
            let mut states = states.lock();
            let values = states.values_mut().flat_map(|array| &mut array.data);
            values.for_each(|value| *value = f64::from(*value as f32));
        }
    }

    /// Loses the device, as a driver that fails would.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        if let Engine::Gpu { device, .. } = &self.engine {
            device.device.destroy();
        }
    }

    /// Names of all states, sorted.
    pub fn state_names(&self) -> Vec<String> {
        match &self.engine {
            Engine::Gpu { states, .. } => states.names(),
            Engine::Reference(states) => {
                let mut names: Vec<_> = states.lock().keys().cloned().collect();
                names.sort();
                names
            }
        }
    }

    /// Prepares `graph` to be run; `outputs` can be read afterwards, and every recorded update of a state runs.
    ///
    /// # Errors
    /// [`Error::Graph`] if nothing would be computed, an output belongs to another graph, or the recording holds a
    /// mistake; else as [`gpu::Program::compile`].
    #[track_caller]
    pub fn compile(&self, graph: &Graph, outputs: &[&Tensor]) -> Result<Program> {
        let ids = ids(graph, outputs)?;
        let engine = match &self.engine {
            Engine::Gpu { device, states } => {
                Compiled::Gpu(Box::new(gpu::Program::compile(device, graph, &ids, states)?))
            }
            Engine::Reference(states) => {
                // Where a device rounds does not depend on its class.
                let half = gpu::Plan::new(graph, &ids, Target::software()).half;
                Compiled::Reference(Interpreter::new(graph, &ids, &half, states))
            }
        };
        let live = graph.live(&ids).into_iter().enumerate().filter(|(_, live)| *live);
        let unwritten = live.map(|(index, _)| graph.tensor(NodeId(index))).filter(Tensor::is_input).collect();
        Ok(Program { graph: graph.clone(), outputs: ids, unwritten, ran: false, engine })
    }

    /// Bytes allocated on the device, where its interface tells.
    pub fn allocated(&self) -> Option<u64> {
        match &self.engine {
            Engine::Gpu { device, .. } => device.allocated(),
            Engine::Reference(_) => None,
        }
    }

    /// Plans what [`Session::compile`] would prepare, and makes nothing; `None` on the interpreter, which plans nothing.
    ///
    /// # Errors
    /// [`Error::Memory`] with the planned bytes if it does not fit the device; besides as [`Session::compile`].
    #[track_caller]
    pub fn plan(&self, graph: &Graph, outputs: &[&Tensor]) -> Result<Option<gpu::Plan>> {
        let ids = ids(graph, outputs)?;
        match &self.engine {
            Engine::Gpu { device, .. } => gpu::plan(device, graph, &ids).map(Some),
            Engine::Reference(_) => Ok(None),
        }
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
        match &self.engine {
            Engine::Gpu { device, .. } => device.wait().await,
            Engine::Reference(_) => Ok(()),
        }
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
        return Err(Error::misuse("the program has no outputs and updates no state; name what is to be read"));
    }
    Ok(outputs.iter().map(|output| output.id()).collect())
}

/// Host values for an input.
pub enum Values<'a> {
    /// Real values as the device holds them.
    F32(&'a [f32]),
    /// Real values as the interpreter holds them.
    F64(&'a [f64]),
    /// Integers.
    I32(&'a [i32]),
}

macro_rules! values_from {
    ($($variant:ident $ty:ty),*) => {$(
        impl<'a> From<&'a [$ty]> for Values<'a> {
            fn from(values: &'a [$ty]) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$ty>> for Values<'a> {
            fn from(values: &'a Vec<$ty>) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$ty; N]> for Values<'a> {
            fn from(values: &'a [$ty; N]) -> Self {
                Values::$variant(values)
            }
        }
    )*};
}
values_from!(F32 f32, F64 f64, I32 i32);

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I32(values) => values.len(),
        }
    }

    fn to_f64(&self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::F64(values) => values.to_vec(),
            Values::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        }
    }
}

enum Compiled {
    Gpu(Box<gpu::Program>),
    Reference(Interpreter),
}

/// A graph ready to run any number of times.
pub struct Program {
    graph: Graph,
    outputs: Vec<NodeId>,
    /// Inputs that are needed and have no value yet.
    unwritten: Vec<Tensor>,
    ran: bool,
    engine: Compiled,
}

impl Program {
    /// Writes an input.
    ///
    /// # Errors
    /// [`Error::Graph`] if the tensor is not an input of this program's graph or the number of values is wrong.
    #[track_caller]
    pub fn write<'a>(&mut self, input: &Tensor, values: impl Into<Values<'a>>) -> Result<()> {
        let values = values.into();
        self.own(input)?;
        if !input.is_input() {
            return Err(Error::misuse(format!("{input:?} is no input and cannot be written")));
        }
        if values.len() != input.shape().len() {
            return Err(Error::misuse(format!("input {input:?} was given {} values", values.len())));
        }
        self.unwritten.retain(|unwritten| unwritten.id() != input.id());
        match &mut self.engine {
            Compiled::Reference(interpreter) => interpreter.write(input.id(), values.to_f64()),
            Compiled::Gpu(program) => match (input.dtype(), &values) {
                (DType::F32, Values::F32(values)) => program.write(input.id(), bytemuck::cast_slice(values)),
                (DType::I32, Values::I32(values)) => program.write(input.id(), bytemuck::cast_slice(values)),
                (DType::F32, other) => {
                    let values: Vec<f32> = other.to_f64().into_iter().map(|value| value as f32).collect();
                    program.write(input.id(), bytemuck::cast_slice(&values));
                }
                (DType::I32, other) => {
                    let values: Vec<i32> = other.to_f64().into_iter().map(|value| value as i32).collect();
                    program.write(input.id(), bytemuck::cast_slice(&values));
                }
            },
        }
        Ok(())
    }

    /// Runs everything once; on a device without waiting for it.
    ///
    /// # Errors
    /// [`Error::Graph`] naming an input that was never written; [`Error::Device`] if the device was lost.
    #[track_caller]
    pub fn run(&mut self) -> Result<()> {
        self.check_inputs()?;
        match &mut self.engine {
            Compiled::Gpu(program) => program.run(),
            Compiled::Reference(interpreter) => interpreter.run(),
        }
    }

    /// Whether everything has a value that a run needs, which is about to happen.
    #[track_caller]
    fn check_inputs(&mut self) -> Result<()> {
        if let Some(input) = self.unwritten.first() {
            return Err(Error::misuse(format!("input {input:?} was never written")));
        }
        self.ran = true;
        Ok(())
    }

    /// The value of an output after the last run, or of an input or a state.
    ///
    /// # Errors
    /// [`Error::Graph`] if the tensor is none of these, or nothing was run; [`Error::Device`] if the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    #[track_caller]
    pub fn read(&self, output: &Tensor) -> Result<Vec<f64>> {
        pollster::block_on(self.read_async(output))
    }

    /// As `read`, without blocking.
    ///
    /// # Errors
    /// As `read`.
    #[track_caller]
    pub fn read_async(&self, output: &Tensor) -> impl Future<Output = Result<Vec<f64>>> {
        let (id, readable) = (output.id(), self.check_readable(output));
        async move {
            readable?;
            match &self.engine {
                Compiled::Gpu(program) => program.read(id).await,
                Compiled::Reference(interpreter) => interpreter.read(id),
            }
        }
    }

    /// Whether there is a value to read.
    #[track_caller]
    fn check_readable(&self, tensor: &Tensor) -> Result<()> {
        self.own(tensor)?;
        if tensor.is_input() || tensor.is_state() {
            return Ok(());
        }
        if !self.outputs.contains(&tensor.id()) {
            return Err(Error::misuse(format!("{tensor:?} is no output of this program; name it when compiling")));
        }
        if !self.ran {
            return Err(Error::misuse(format!("output {tensor:?} is read before the first run")));
        }
        Ok(())
    }

    /// Runs once and gives the time of every dispatch; nothing on the CPU interpreter.
    ///
    /// # Errors
    /// If an input was never written, or the adapter has no timestamps or was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn profile(&mut self) -> Result<Vec<gpu::KernelTime>> {
        pollster::block_on(self.profile_async())
    }

    /// As `profile`, without blocking.
    ///
    /// # Errors
    /// If an input was never written, or the adapter has no timestamps or was lost.
    pub async fn profile_async(&mut self) -> Result<Vec<gpu::KernelTime>> {
        self.check_inputs()?;
        match &mut self.engine {
            Compiled::Gpu(program) => program.profile().await,
            Compiled::Reference(interpreter) => interpreter.run().map(|()| Vec::new()),
        }
    }

    /// The device plan, if it runs on a device.
    pub fn plan(&self) -> Option<&gpu::Plan> {
        match &self.engine {
            Compiled::Gpu(program) => Some(program.plan()),
            Compiled::Reference(_) => None,
        }
    }

    #[track_caller]
    fn own(&self, tensor: &Tensor) -> Result<()> {
        if tensor.graph().is(&self.graph) {
            return Ok(());
        }
        Err(Error::misuse(format!("{tensor:?} belongs to another graph")))
    }
}
