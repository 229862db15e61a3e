//! One graph of a case: its stored inputs, its recording, and its results.

use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::session::{Program, Session};
use crate::error::Result;
use crate::run::verify::golden::{GoldenCase, Stored, StoredValues};
use crate::run::verify::judge::Results;

/// A graph under construction whose inputs are tensors of a case and whose outputs are results of it.
pub struct Trial<'a> {
    /// The case that the inputs come from.
    pub case: &'a GoldenCase,
    /// Where it will run; states that the graph uses are set here.
    pub session: Session,
    /// The recording.
    pub graph: Graph,
    inputs: Vec<Input>,
    outputs: Vec<(String, Tensor)>,
    observed: Vec<Tensor>,
}

/// An input and what will be written to it.
struct Input {
    name: String,
    tensor: Tensor,
    values: Stored,
}

impl<'a> Trial<'a> {
    /// An empty recording on a session of its own.
    pub fn new(case: &'a GoldenCase, session: &Session) -> Self {
        let (graph, session) = (Graph::new(), session.fresh());
        Trial { case, session, graph, inputs: Vec::new(), outputs: Vec::new(), observed: Vec::new() }
    }

    /// The stored tensor `name`, as an input that is written before the run. Asking twice gives the same input.
    ///
    /// # Errors
    /// If the case has no such tensor.
    pub fn input(&mut self, name: &str) -> Result<Tensor> {
        match self.inputs.iter().find(|input| input.name == name) {
            Some(known) => Ok(known.tensor.clone()),
            None => Ok(self.given(name, self.case.tensor(name)?.clone())),
        }
    }

    /// The stored images `name`, \[B, 3, H, W\], in the layout of networks: \[B, H, W, 3\].
    ///
    /// # Errors
    /// If the case has no such images.
    pub fn images(&mut self, name: &str) -> Result<Tensor> {
        channels_last(&self.input(name)?)
    }

    /// An input with values from the runner.
    pub fn given(&mut self, name: &str, values: Stored) -> Tensor {
        let dtype = match values.values {
            StoredValues::F32(_) => DType::F32,
            StoredValues::I32(_) => DType::I32,
        };
        let tensor = self.graph.input(name, &values.shape[..], dtype);
        self.inputs.push(Input { name: name.to_owned(), tensor: tensor.clone(), values });
        tensor
    }

    /// The stored tensor `name` as the value of the state `state`, and that state in the graph.
    ///
    /// # Errors
    /// If the case has no such tensor, or the state exists with another shape.
    pub fn state(&mut self, state: &str, name: &str) -> Result<Tensor> {
        let shape = self.case.shape(name)?;
        self.session.set_state(state, shape, self.case.reals(name)?)?;
        Ok(self.graph.state(state, shape))
    }

    /// Makes `tensor` the result `name`.
    pub fn output(&mut self, name: impl Into<String>, tensor: &Tensor) {
        self.outputs.push((name.into(), tensor.clone()));
    }

    /// Makes `tensor` readable after the run, without it being a result.
    pub fn observe(&mut self, tensor: &Tensor) {
        self.observed.push(tensor.clone());
    }

    /// Makes the gradients of Σ output · `cot.`name over `outputs` with respect to each of `sources` results, under the
    /// names given with the sources.
    ///
    /// # Errors
    /// If a cotangent is not stored or an op on the way has no gradient.
    pub fn gradients(&mut self, outputs: &[(String, Tensor)], sources: &[(String, Tensor)]) -> Result<()> {
        let cotangents = outputs
            .iter()
            .map(|(name, output)| Ok((output.clone(), self.input(&format!("cot.{name}"))?)))
            .collect::<Result<Vec<_>>>()?;
        let tensors: Vec<_> = sources.iter().map(|(_, source)| source.clone()).collect();
        let gradients = self.graph.pull_back(&cotangents, &tensors)?;
        for ((name, _), gradient) in sources.iter().zip(&gradients) {
            self.output(name, gradient);
        }
        Ok(())
    }

    /// The commonest case: the result `part.y` and the gradients with respect to the inputs `part.x` for each `x` of
    /// `inputs`.
    ///
    /// # Errors
    /// As [`Trial::gradients`].
    pub fn output_with_gradients(&mut self, part: &str, y: &Tensor, inputs: &[&str]) -> Result<()> {
        let name = format!("{part}.y");
        self.output(&name, y);
        let sources = inputs
            .iter()
            .map(|input| Ok((format!("grad.{part}.{input}"), self.input(&format!("{part}.{input}"))?)))
            .collect::<Result<Vec<_>>>()?;
        self.gradients(&[(name, y.clone())], &sources)
    }

    /// Compiles the recording and writes its inputs.
    ///
    /// # Errors
    /// If it does not compile.
    pub fn compile(&self) -> Result<Program> {
        let outputs: Vec<_> = self.outputs.iter().map(|(_, output)| output).chain(&self.observed).collect();
        let mut program = self.session.compile(&self.graph, &outputs)?;
        for Input { tensor, values, .. } in &self.inputs {
            match &values.values {
                StoredValues::F32(values) => program.write(tensor, values)?,
                StoredValues::I32(values) => program.write(tensor, values)?,
            }
        }
        Ok(program)
    }

    /// Runs the recording once and records its outputs; returns the program for reading other values.
    ///
    /// # Errors
    /// If it does not compile or run.
    pub fn run(&self, results: &mut Results) -> Result<Program> {
        let mut program = self.compile()?;
        program.run()?;
        self.collect(&program, results)?;
        Ok(program)
    }

    /// Records the outputs of the last run.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn collect(&self, program: &Program, results: &mut Results) -> Result<()> {
        for (name, output) in &self.outputs {
            results.set(name, output.shape(), program.read(output)?);
        }
        Ok(())
    }

    /// Records the value of a state as the result `name`.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn collect_state(&self, state: &str, name: &str, results: &mut Results) -> Result<()> {
        let (shape, values) = self.session.state(state)?;
        results.set(name, &shape, values);
        Ok(())
    }
}

/// \[B, C, H, W\] → \[B, H, W, C\].
///
/// # Errors
/// If the tensor has no four axes.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute(&[0, 2, 3, 1])
}

/// \[B, H, W, C\] → \[B, C, H, W\].
///
/// # Errors
/// If the tensor has no four axes.
pub fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.permute(&[0, 3, 1, 2])
}
