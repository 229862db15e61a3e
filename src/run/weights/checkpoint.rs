//! A checkpoint: one safetensors file with the network, what is needed to use it, and what is needed to resume
//! training.
//!
//! The tensors are f32: weights and running statistics under their names in the network, and, from a training run, the
//! moments (`adamw.first.*`, `adamw.second.*`) and the values of recent steps (`record.values`). Everything else is
//! in the metadata; see [`sealed`] for the file itself.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::training::{RunFacts, Training, is_training_state};
use crate::config::Config;
use crate::engine::nn::Parameter;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::formats::sealed;
use crate::formats::sealed::Tensors;
use crate::formats::storage::Reals;

/// The key of the file's metadata.
const KEY: &str = "tagseg";

/// The remedy for a file that is not a checkpoint.
const REMEDY: &str = "give a checkpoint that `tagseg train` wrote, or the folder of its run";

/// A network with its configuration and classes, and the state of its training run, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Training steps done.
    pub step: usize,
    /// The resolved configuration it was trained with.
    pub config: Config,
    /// Names of the foreground classes.
    pub classes: Vec<String>,
    /// Weights and running statistics.
    pub tensors: Tensors,
    /// The state that resuming needs.
    pub training: Option<Training>,
}

/// Contents of the metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    step: usize,
    classes: Vec<String>,
    run: Option<RunFacts>,
    config: String,
}

impl Checkpoint {
    /// Reads `parameters` out of a session.
    ///
    /// # Errors
    /// If the session lacks one of them.
    #[cfg(feature = "native")]
    pub fn take(
        session: &Session,
        parameters: &[Parameter],
        step: usize,
        config: &Config,
        classes: &[String],
    ) -> Result<Self> {
        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let tensors = names.iter().map(|name| (*name).to_owned()).zip(session.states(&names)?).collect();
        Ok(Checkpoint { step, config: config.clone(), classes: classes.to_vec(), tensors, training: None })
    }

    /// Checks that it has exactly the tensors of a network with `parameters`.
    ///
    /// # Errors
    /// [`Error::Graph`] naming the first tensor that is missing, of another shape, or unexpected.
    pub fn check(&self, parameters: &[Parameter]) -> Result<()> {
        if let Some(extra) = self.tensors.keys().find(|name| !parameters.iter().any(|known| known.name == **name)) {
            return Err(Error::Graph(format!("the checkpoint has `{extra}`, which this network does not have")));
        }
        for parameter in parameters {
            let (shape, _) = self.tensors.get(&parameter.name).ok_or_else(|| {
                Error::Graph(format!("the checkpoint lacks `{}`; it is from a different network", parameter.name))
            })?;
            if shape[..] != parameter.shape[..] {
                return Err(Error::Graph(format!(
                    "`{}` is {shape:?} in the checkpoint and {:?} in the network",
                    parameter.name, parameter.shape
                )));
            }
        }
        Ok(())
    }

    /// Loads all `parameters` into `session`.
    ///
    /// # Errors
    /// As [`Checkpoint::check`].
    pub fn put(&self, session: &mut Session, parameters: &[Parameter]) -> Result<()> {
        self.check(parameters)?;
        self.tensors.iter().try_for_each(|(name, (shape, values))| session.set_state(name, shape, values))
    }

    /// Writes the file, see [`sealed::write`].
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.save_as(path, Reals::Whole)
    }

    /// Writes the file with another storage of its numbers.
    ///
    /// # Errors
    /// As [`Checkpoint::save`].
    pub fn save_as(&self, path: &Path, reals: Reals) -> Result<()> {
        let metadata = Metadata {
            step: self.step,
            classes: self.classes.clone(),
            run: self.training.as_ref().map(|training| training.run.clone()),
            config: self.config.to_toml(),
        };
        let states = self.training.iter().flat_map(|training| &training.states);
        sealed::write(path, KEY, &metadata, self.tensors.iter().chain(states), reals)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Data`] if it is not a checkpoint of this program, or is damaged.
    pub fn load(path: &Path) -> Result<Self> {
        Checkpoint::from_bytes(path, &sealed::bytes(path, REMEDY)?)
    }

    /// Reads a file that is in memory; `path` is its name in errors.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (metadata, all): (Metadata, Tensors) = sealed::read(path, bytes, KEY, REMEDY)?;
        let (states, tensors) = all.into_iter().partition(|(name, _)| is_training_state(name));
        Ok(Checkpoint {
            step: metadata.step,
            config: Config::from_toml(&metadata.config)?,
            classes: metadata.classes,
            tensors,
            training: metadata.run.map(|run| Training { states, run }),
        })
    }
}
