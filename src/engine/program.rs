//! A compiled graph.

use super::backend::Runnable;
use super::gpu;
use super::graph::{DType, Graph, NodeId, Tensor};
use super::values::Values;
use crate::error::{Error, Result};

/// A graph ready to run any number of times.
pub struct Program {
    graph: Graph,
    outputs: Vec<NodeId>,
    /// Whether it needs each node of the graph.
    live: Vec<bool>,
    /// Required inputs without a value.
    unwritten: Vec<Tensor>,
    ran: bool,
    compiled: Box<dyn Runnable>,
}

impl Program {
    /// A program of `compiled` with `outputs`.
    pub(super) fn new(graph: &Graph, outputs: Vec<NodeId>, compiled: Box<dyn Runnable>) -> Self {
        let live = graph.live(&outputs);
        let needed = live.iter().enumerate().filter(|(_, live)| **live);
        let unwritten = needed.map(|(index, _)| graph.tensor(NodeId(index))).filter(Tensor::is_input).collect();
        Program { graph: graph.clone(), outputs, live, unwritten, ran: false, compiled }
    }

    /// Writes an input.
    ///
    /// # Errors
    /// [`Error::Graph`] if the tensor is not an input of this program's graph, the number of values is wrong, or an
    /// input of integers is given another number.
    #[track_caller]
    pub fn write<'a>(&mut self, input: &Tensor, values: impl Into<Values<'a>>) -> Result<()> {
        let values = values.into();
        self.own(input)?;
        if !input.is_input() {
            return Err(Error::misuse(format!("{input:?} is not an input and cannot be written")));
        }
        if values.len() != input.shape().len() {
            return Err(Error::misuse(format!("input {input:?} was given {} values", values.len())));
        }
        if matches!(values, Values::U8(_)) && input.dtype() != DType::I32 {
            return Err(Error::misuse(format!("input {input:?} does not take bytes: only integer inputs do")));
        }
        if let Some(value) = values.no_integer().filter(|_| input.dtype() == DType::I32) {
            return Err(Error::misuse(format!("input {input:?} takes integers of 32 bits and was given {value}")));
        }
        self.unwritten.retain(|unwritten| unwritten.id() != input.id());
        self.compiled.write(input, &values);
        Ok(())
    }

    /// Runs everything once; on a device without waiting for it.
    ///
    /// # Errors
    /// [`Error::Graph`] naming an input that was never written; [`Error::Device`] if the device was lost.
    #[track_caller]
    pub fn run(&mut self) -> Result<()> {
        self.check_inputs()?;
        self.compiled.run()
    }

    /// Checks that every required input has a value.
    #[track_caller]
    fn check_inputs(&mut self) -> Result<()> {
        if let Some(input) = self.unwritten.first() {
            return Err(Error::misuse(format!("input {input:?} was never written")));
        }
        self.ran = true;
        Ok(())
    }

    /// The value of an output after the last run, or of an input or a state that the program needs.
    ///
    /// # Errors
    /// [`Error::Graph`] if the tensor is none of these, nothing was run, or the input was never written;
    /// [`Error::Device`] if the device was lost.
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
            self.compiled.read(id).await
        }
    }

    /// Checks that there is a value to read.
    #[track_caller]
    fn check_readable(&self, tensor: &Tensor) -> Result<()> {
        self.own(tensor)?;
        if tensor.is_input() || tensor.is_state() {
            if self.live.get(tensor.id().0) != Some(&true) {
                return Err(Error::misuse(format!(
                    "this program does not need {tensor:?}; read it from one that does"
                )));
            }
            if self.unwritten.iter().any(|unwritten| unwritten.id() == tensor.id()) {
                return Err(Error::misuse(format!("input {tensor:?} was never written")));
            }
            return Ok(());
        }
        if tensor.is_update() {
            return Err(Error::misuse(format!("{tensor:?} is an update and has no value; read the state")));
        }
        if !self.outputs.contains(&tensor.id()) {
            return Err(Error::misuse(format!("{tensor:?} is not an output of this program; name it when compiling")));
        }
        if !self.ran {
            return Err(Error::misuse(format!("output {tensor:?} is read before the first run")));
        }
        Ok(())
    }

    /// Runs once and returns the time of every dispatch; nothing on the CPU interpreter.
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
        self.compiled.profile().await
    }

    /// The plan, if it runs on a device.
    pub fn plan(&self) -> Option<&gpu::Plan> {
        self.compiled.plan()
    }

    #[track_caller]
    fn own(&self, tensor: &Tensor) -> Result<()> {
        if tensor.graph().is(&self.graph) {
            return Ok(());
        }
        Err(Error::misuse(format!("{tensor:?} belongs to another graph")))
    }
}
