//! Optimisers: each records a whole training step in one call, the gradients of a loss, the moments and the updates.
//!
//! ```
//! use tagseg::Session;
//! use tagseg::engine::graph::{DType, Graph};
//! use tagseg::engine::nn::{Init, Linear, Scope};
//! use tagseg::engine::optim::AdamW;
//!
//! let graph = Graph::new();
//! let scope = Scope::root(&graph);
//! let x = graph.input("x", [8, 16], DType::F32);
//! let y = Linear::new(&scope.at("linear"), 16, 1, Init::Normal(0.2), Init::Constant(0.0)).forward(&x)?;
//! let loss = (&y * &y)?.mean(..)?;
//! let mut optimiser = AdamW::new(1e-2).weight_decay(0.01).step(&loss, &scope.trainable())?;
//!
//! let mut session = Session::open("reference")?;
//! scope.initialise(&mut session, 1)?;
//! let mut program = session.compile(&graph, &[&loss])?;
//! program.write(&x, &[0.5_f32; 128])?;
//! for step in 1..=200 {
//!     optimiser.write(&mut program, step)?;
//!     program.run()?;
//! }
//! assert!(program.read(&loss)?[0] < 0.01);
//! # Ok::<(), tagseg::Error>(())
//! ```
//!
//! The number of the step and the learning rate are inputs, so that one program runs every step. Moments are states,
//! named after their parameters. A session creates them, filled with zeros, when it compiles the graph. To resume,
//! store and restore all states of the session.

use super::graph::{DType, Graph, Tensor};
use super::ops::adamw::{self, Constants, Trained};
use super::ops::assign::listed_twice;
use super::ops::pack::Packed;
use super::session::Program;
use crate::error::{Error, Result};

/// AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
///
/// With the gradient g, step t and learning rate η: m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g²,
/// w ← w − η·λ·w − η·(m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε). All parameters are updated in one dispatch, or a few.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdamW {
    /// η, which [`Optimiser::set_learning_rate`] changes between steps.
    pub learning_rate: f64,
    /// λ, by default 0.01.
    pub weight_decay: f64,
    /// β₁, β₂ and ε: by default 0.9, 0.999 and 1e-8.
    pub constants: Constants,
}

impl AdamW {
    /// AdamW with PyTorch's constants.
    pub fn new(learning_rate: f64) -> Self {
        AdamW { learning_rate, weight_decay: 0.01, constants: Constants::default() }
    }

    /// With another weight decay λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        AdamW { weight_decay, ..self }
    }

    /// With other decay rates β₁ and β₂ of the moments.
    #[must_use]
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        AdamW { constants: Constants { beta1, beta2, ..self.constants }, ..self }
    }

    /// With another ε.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        AdamW { constants: Constants { eps, ..self.constants }, ..self }
    }

    /// Records the step that lowers the scalar `loss` by changing `parameters`, which are states, such as
    /// [`Scope::trainable`](super::nn::Scope::trainable) gives them. The moments of `w` are the states `w.m` and `w.v`.
    ///
    /// # Errors
    /// As [`Graph::gradients`], and if a parameter is not a state or is listed twice.
    #[track_caller]
    pub fn step(&self, loss: &Tensor, parameters: &[Tensor]) -> Result<Optimiser> {
        let graph = loss.graph();
        let mut trained = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let [m, v] = [moment(graph, parameter, "m")?, moment(graph, parameter, "v")?];
            trained.push(Trained { param: parameter.clone(), m, v, group: 0 });
        }
        let gradients = Packed::new(&graph.gradients(loss, parameters)?)?;
        let hyper = graph.input("adamw", [1, 4], DType::F32);
        adamw::adamw(self.constants, &trained, &gradients, &hyper, None)?;
        Ok(Optimiser { rule: Rule::AdamW(self.clone()), hyper })
    }
}

/// Stochastic gradient descent, optionally with momentum and weight decay, as in PyTorch.
///
/// With the gradient g and learning rate η: g' = g + λ·w; with momentum v ← μ·v + g' and w ← w − η·v, without it
/// w ← w − η·g'.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sgd {
    /// η, which [`Optimiser::set_learning_rate`] changes between steps.
    pub learning_rate: f64,
    /// μ, by default 0.
    pub momentum: f64,
    /// λ, by default 0.
    pub weight_decay: f64,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(learning_rate: f64) -> Self {
        Sgd { learning_rate, momentum: 0.0, weight_decay: 0.0 }
    }

    /// With momentum μ.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        Sgd { momentum, ..self }
    }

    /// With weight decay λ.
    #[must_use]
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Sgd { weight_decay, ..self }
    }

    /// Records the step that lowers the scalar `loss` by changing `parameters`, which are states, such as
    /// [`Scope::trainable`](super::nn::Scope::trainable) gives them. The momentum of `w` is the state `w.momentum`.
    ///
    /// # Errors
    /// As [`Graph::gradients`], and if a parameter is not a state or is listed twice.
    #[track_caller]
    pub fn step(&self, loss: &Tensor, parameters: &[Tensor]) -> Result<Optimiser> {
        let graph = loss.graph();
        if let Some(parameter) = listed_twice(parameters) {
            return Err(Error::misuse(format!("sgd: {parameter:?} is listed twice")));
        }
        let hyper = graph.input("sgd", [], DType::F32);
        for (parameter, gradient) in parameters.iter().zip(graph.gradients(loss, parameters)?) {
            let mut change = gradient;
            if self.weight_decay != 0.0 {
                change = change.add(&parameter.scale(self.weight_decay)?)?;
            }
            if self.momentum != 0.0 {
                let momentum = moment(graph, parameter, "momentum")?;
                change = momentum.scale(self.momentum)?.add(&change)?;
                momentum.assign(&change)?;
            }
            parameter.assign(&parameter.sub(&change.mul(&hyper)?)?)?;
        }
        Ok(Optimiser { rule: Rule::Sgd(self.clone()), hyper })
    }
}

/// A state of zeros for a parameter.
#[track_caller]
fn moment(graph: &Graph, parameter: &Tensor, kind: &str) -> Result<Tensor> {
    match parameter.name().filter(|_| parameter.is_state()) {
        Some(name) => Ok(graph.state_filled(&format!("{name}.{kind}"), parameter.shape().clone(), 0.0)),
        None => Err(Error::misuse(format!("{parameter:?} is not a state, so an optimiser cannot update it"))),
    }
}

/// A recorded optimiser, which writes the inputs that change from step to step.
#[derive(Clone, Debug)]
pub struct Optimiser {
    rule: Rule,
    hyper: Tensor,
}

#[derive(Clone, Debug)]
enum Rule {
    AdamW(AdamW),
    Sgd(Sgd),
}

impl Optimiser {
    /// Sets the learning rate of the steps that are written from here on.
    pub fn set_learning_rate(&mut self, rate: f64) {
        match &mut self.rule {
            Rule::AdamW(rule) => rule.learning_rate = rate,
            Rule::Sgd(rule) => rule.learning_rate = rate,
        }
    }

    /// Prepares `program` for its step number `step`, counted from 1.
    ///
    /// # Errors
    /// [`Error::Graph`] if the program is of another graph.
    #[track_caller]
    pub fn write(&self, program: &mut Program, step: usize) -> Result<()> {
        match &self.rule {
            Rule::AdamW(rule) => {
                let hyper = rule.constants.hyper(rule.learning_rate, rule.weight_decay, step.max(1) as u64);
                program.write(&self.hyper, &hyper)
            }
            Rule::Sgd(rule) => program.write(&self.hyper, &[rule.learning_rate]),
        }
    }
}
