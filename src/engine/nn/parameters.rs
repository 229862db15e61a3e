//! Parameters: their names, shapes and first values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::graph::{Graph, Shape, Tensor};
use crate::engine::session::Session;
use crate::error::{Error, Result};

/// First values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Constant(f64),
    /// Normal around 0 with this standard deviation.
    Normal(f64),
    /// Uniform in \[−bound, bound\].
    Uniform(f64),
}

/// A tensor that training changes, or that batch norm keeps.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Full name, as in checkpoints.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// First values.
    pub init: Init,
    /// Whether the optimiser updates it; running statistics are not its concern.
    pub trained: bool,
}

impl Parameter {
    /// The first values, from a generator of its own: they depend on the seed and the name alone.
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

/// A place in the tree of names, `encoder.block1.0.attn`, where layers record their parameters.
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

    /// The place `name` below this one.
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

    /// A trained parameter called `leaf` here. To make one twice is a mistake (see [`Graph`]).
    #[track_caller]
    pub fn parameter(&self, leaf: &str, shape: impl Into<Shape>, init: Init) -> Tensor {
        self.record(leaf, shape.into(), init, true)
    }

    /// A state that is kept with the model but not trained.
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
            let remedy = "give every layer a place of its own with `Scope::at`";
            self.graph.mistake(Error::misuse(format!("parameter {tensor:?} was made before; {remedy}")));
        } else {
            parameters.push(Parameter { name, shape, init, trained });
        }
        tensor
    }

    /// Everything recorded below the root, in order.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.lock().clone()
    }

    /// What training changes below the root, in order: what gradients are taken for and an optimiser updates.
    pub fn trainable(&self) -> Vec<Tensor> {
        let parameters = self.parameters().into_iter().filter(|parameter| parameter.trained);
        parameters.map(|parameter| self.graph.state(&parameter.name, parameter.shape)).collect()
    }

    /// Gives every parameter its first value in `session`.
    ///
    /// # Errors
    /// If one was made twice, or the session holds one with another shape.
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

    /// Protects: the standard deviation of weights, and that no two parameters start alike.
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
