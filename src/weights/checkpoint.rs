//! A checkpoint: one safetensors file with the network, what is needed to use it, and what is needed to train on.
//!
//! The tensors are f32: weights and running statistics under their names in the network, and, from a training run, the
//! moments (`adamw.first.*`, `adamw.second.*`) and the values of recent steps (`record.values`). Everything else is a
//! JSON object in the header's metadata, whose first entry is a CRC-32 of all that follows it, text and tensors. So the
//! same state gives the same bytes, and a file that lost or changed a bit is recognised.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crc32fast::Hasher;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::durable::write_atomically;
use super::training::{RunFacts, Training, is_training_state};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::session::Session;

/// Key of our entry in the file's metadata.
const KEY: &str = "tagseg";

/// Shape and values by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A network with its configuration and classes, and the training run that it stands in, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps of training behind it.
    pub step: usize,
    /// The resolved configuration it was trained with.
    pub config: Config,
    /// Names of the foreground classes.
    pub classes: Vec<String>,
    /// Weights and running statistics.
    pub tensors: Tensors,
    /// What resuming needs besides.
    pub training: Option<Training>,
}

/// What the metadata holds besides the tensors.
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

    /// Gives every one of `parameters` its value in `session`.
    ///
    /// # Errors
    /// [`Error::Graph`] naming the first tensor that is missing, of another shape, or unexpected.
    pub fn put(&self, session: &mut Session, parameters: &[Parameter]) -> Result<()> {
        if let Some(extra) = self.tensors.keys().find(|name| !parameters.iter().any(|known| known.name == **name)) {
            return Err(Error::Graph(format!("the checkpoint holds `{extra}`, which this network does not have")));
        }
        for parameter in parameters {
            let (shape, values) = self.tensors.get(&parameter.name).ok_or_else(|| {
                Error::Graph(format!("the checkpoint lacks `{}`; it is of another network", parameter.name))
            })?;
            if shape[..] != parameter.shape[..] {
                return Err(Error::Graph(format!(
                    "`{}` is {shape:?} in the checkpoint and {:?} in the network",
                    parameter.name, parameter.shape
                )));
            }
            session.set_state(&parameter.name, shape, values)?;
        }
        Ok(())
    }

    /// Writes the file, see [`write_atomically`].
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let metadata = Metadata {
            step: self.step,
            classes: self.classes.clone(),
            run: self.training.as_ref().map(|training| training.run.clone()),
            config: self.config.to_toml(),
        };
        let text = serde_json::to_string(&metadata).map_err(|error| Error::Graph(error.to_string()))?;
        let states = self.training.iter().flat_map(|training| &training.states);
        let views = self
            .tensors
            .iter()
            .chain(states)
            .map(|(name, (shape, values))| {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))?;
                Ok((name.as_str(), view))
            })
            .collect::<Result<BTreeMap<_, _>, _>>()
            .map_err(unwritable)?;
        let text = sealed(&text, checksum(&text, &views));
        let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), text)]))).map_err(unwritable)?;
        write_atomically(path, &bytes)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Data`] if it is not a checkpoint of this program, or not as it was written.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| broken(path, error.to_string()))?;
        Checkpoint::from_bytes(path, &bytes)
    }

    /// Reads a file that is in memory; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |reason| broken(path, reason);
        let file = SafeTensors::deserialize(bytes).map_err(|error| broken(format!("is damaged: {error}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let text = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let text = text.ok_or_else(|| broken("holds no configuration".into()))?;
        let (expected, text) = unsealed(text).ok_or_else(|| broken("is damaged: it bears no checksum".into()))?;
        let views = file.iter().collect::<BTreeMap<_, _>>();
        let actual = checksum(&text, &views);
        if actual != expected {
            return Err(broken(format!("is damaged: its checksum is {actual:08x}, {expected:08x} was written")));
        }
        let metadata: Metadata =
            serde_json::from_str(&text).map_err(|error| broken(format!("its configuration is damaged: {error}")))?;
        let (mut tensors, mut states) = (Tensors::new(), Tensors::new());
        for (name, view) in views {
            if view.dtype() != Dtype::F32 {
                return Err(broken(format!("tensor `{name}` is not f32")));
            }
            let data = bytemuck::pod_collect_to_vec::<u8, f32>(view.data());
            let part = if is_training_state(name) { &mut states } else { &mut tensors };
            part.insert(name.to_owned(), (view.shape().to_vec(), data));
        }
        Ok(Checkpoint {
            step: metadata.step,
            config: Config::from_toml(&metadata.config)?,
            classes: metadata.classes,
            tensors,
            training: metadata.run.map(|run| Training { states, run }),
        })
    }
}

fn broken(path: &Path, reason: String) -> Error {
    Error::data(path, reason, "give a checkpoint that `tagseg train` wrote, or the folder of its run")
}

fn unwritable(error: safetensors::SafeTensorError) -> Error {
    Error::Graph(format!("checkpoint: {error}"))
}

/// CRC-32 of the metadata's text and of name, shape and bytes of every tensor.
fn checksum(text: &str, tensors: &BTreeMap<&str, TensorView>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    for (name, view) in tensors {
        hasher.update(name.as_bytes());
        for extent in view.shape() {
            hasher.update(&(*extent as u64).to_le_bytes());
        }
        hasher.update(view.data());
    }
    hasher.finalize()
}

/// What stands before and after the eight hexadecimal digits that [`sealed`] puts into an object.
const SEAL: [&str; 2] = ["{\"checksum\":\"", "\","];

/// The text of a JSON object with a checksum as its first entry.
fn sealed(object: &str, checksum: u32) -> String {
    let [before, after] = SEAL;
    format!("{before}{checksum:08x}{after}{}", &object[1..])
}

/// The checksum and the text that [`sealed`] was given.
fn unsealed(text: &str) -> Option<(u32, String)> {
    let [before, after] = SEAL;
    let (checksum, rest) = text.strip_prefix(before)?.split_at_checked(8)?;
    Some((u32::from_str_radix(checksum, 16).ok()?, format!("{{{}", rest.strip_prefix(after)?)))
}
