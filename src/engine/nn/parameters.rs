//! Parameters: their names, shapes and initial values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::graph::{Graph, Shape, Tensor};
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// Initialisation of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Constant.
    Constant(f64),
    /// Normal around 0 with this standard deviation.
    Normal(f64),
    /// Uniform in \[−bound, bound\].
    Uniform(f64),
}

/// A trained tensor, or a running statistic of batch norm.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Full name, as in checkpoints.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Initialisation.
    pub init: Init,
    /// Whether the optimiser updates it; it does not update running statistics.
    pub trained: bool,
}

impl Parameter {
    /// The initial values, from a separate generator: they depend only on the seed and the name.
    pub fn initial(&self, seed: u64) -> Vec<f32> {
        // FNV-1a of the name separates the streams.
        let hash = self
            .name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ hash);
        let mut uniform = || random.random::<f64>();
        (0..self.shape.len())
            .map(|_| match self.init {
                Init::Constant(value) => value as f32,
                Init::Uniform(bound) => (bound * (2.0 * uniform() - 1.0)) as f32,
                Init::Normal(deviation) => {
                    // Box and Muller; 1 − u lies in (0, 1], so the logarithm is finite.
                    let radius = (-2.0 * libm::log(1.0 - uniform())).sqrt();
                    (deviation * radius * libm::cos(2.0 * std::f64::consts::PI * uniform())) as f32
                }
            })
            .collect()
    }
}

/// A prefix of names, such as `encoder.block1.0.attn`, under which layers record their parameters.
#[derive(Clone)]
pub struct Scope {
    graph: Graph,
    path: String,
    parameters: Arc<Mutex<Vec<Parameter>>>,
}

impl Scope {
    /// The root of a new tree in `graph`.
    pub fn root(graph: &Graph) -> Self {
        Scope { graph: graph.clone(), path: String::new(), parameters: Arc::default() }
    }

    /// The scope `name` below this one.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Scope { path: self.name(&name.to_string()), ..self.clone() }
    }

    /// The recording.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Parameter>> {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, leaf: &str) -> String {
        if self.path.is_empty() { leaf.to_owned() } else { format!("{}.{leaf}", self.path) }
    }

    /// Records a trained parameter named `leaf` in this scope. Recording it twice is an error (see [`Graph`]).
    #[track_caller]
    pub fn parameter(&self, leaf: &str, shape: impl Into<Shape>, init: Init) -> Tensor {
        self.record(leaf, shape.into(), init, true)
    }

    /// A state that belongs to the model but is not trained.
    #[track_caller]
    pub fn statistic(&self, leaf: &str, shape: impl Into<Shape>, init: Init) -> Tensor {
        self.record(leaf, shape.into(), init, false)
    }

    #[track_caller]
    fn record(&self, leaf: &str, shape: Shape, init: Init, trained: bool) -> Tensor {
        let name = self.name(leaf);
        let tensor = self.graph.state(&name, shape.clone());
        let mut parameters = self.lock();
        if parameters.iter().any(|known| known.name == name) {
            let remedy = "give every layer its own scope with `Scope::at`";
            self.graph.mistake(Error::misuse(format!("parameter {tensor:?} already exists; {remedy}")));
        } else {
            parameters.push(Parameter { name, shape, init, trained });
        }
        tensor
    }

    /// Everything recorded below the root, in order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.lock().clone()
    }

    /// All trained parameters below the root, in order, for gradients and optimisers.
    pub fn trainable(&self) -> Vec<Tensor> {
        let parameters = self.parameters().into_iter().filter(|parameter| parameter.trained);
        parameters.map(|parameter| self.graph.state(&parameter.name, parameter.shape)).collect()
    }

    /// Initialises every parameter in `session`.
    ///
    /// # Errors
    /// If one was recorded twice, or exists in the session with another shape.
    pub fn initialise(&self, session: &mut Session, seed: u64) -> Result<()> {
        self.graph.check()?;
        for parameter in self.parameters() {
            session.set_state(&parameter.name, &parameter.shape, &parameter.initial(seed))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, init: Init) -> Parameter {
        Parameter { name: name.into(), shape: [4000].into(), init, trained: true }
    }

    /// Protects: the standard deviation of weights, and that no two parameters are initialised alike.
    #[test]
    fn first_values_have_the_stated_spread() {
        let values = parameter("a", Init::Normal(0.02)).initial(1);
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / 4000.0;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 1e-3 && (variance.sqrt() / 0.02 - 1.0).abs() < 0.05, "{mean} {variance}");
        let uniform = parameter("a", Init::Uniform(0.5)).initial(1);
        assert!(uniform.iter().all(|value| value.abs() <= 0.5) && uniform.iter().any(|value| value.abs() > 0.49));
        assert_ne!(values, parameter("b", Init::Normal(0.02)).initial(1));
        assert_ne!(values, parameter("a", Init::Normal(0.02)).initial(2));
        assert_eq!(values, parameter("a", Init::Normal(0.02)).initial(1));
    }
}
