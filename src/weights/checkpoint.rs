//! A trained network in one safetensors file: weights, running statistics, and what is needed to use them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::session::Session;

/// Key of our entry in the file's metadata.
const KEY: &str = "tagseg";

/// A network with its configuration and classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Steps of training behind it.
    pub step: usize,
    /// The resolved configuration it was trained with.
    pub config: Config,
    /// Names of the foreground classes.
    pub classes: Vec<String>,
    /// Shape and values by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

/// What the metadata holds besides the tensors.
#[derive(Serialize, Deserialize)]
struct Metadata {
    step: usize,
    classes: Vec<String>,
    config: String,
}

impl Checkpoint {
    /// Reads `parameters` out of a session.
    ///
    /// # Errors
    /// If the session lacks one of them.
    pub fn take(
        session: &Session,
        parameters: &[Parameter],
        step: usize,
        config: &Config,
        classes: &[String],
    ) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for parameter in parameters {
            let (shape, values) = session.state(&parameter.name)?;
            let values = values.into_iter().map(|value| value as f32).collect();
            tensors.insert(parameter.name.clone(), (shape, values));
        }
        Ok(Checkpoint { step, config: config.clone(), classes: classes.to_vec(), tensors })
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

    /// Writes the file: beside its place first, then renamed, so that no half-written file bears the name.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let metadata =
            Metadata { step: self.step, classes: self.classes.clone(), config: self.config.to_toml() };
        let metadata = serde_json::to_string(&metadata).map_err(|error| Error::Graph(error.to_string()))?;
        let views = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Graph(format!("checkpoint: {error}")))?;
        let metadata = HashMap::from([(KEY.to_owned(), metadata)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::Graph(format!("checkpoint: {error}")))?;
        write_atomically(path, &bytes)
    }

    /// Reads a file that [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Data`] if it is not a checkpoint of this program.
    pub fn load(path: &Path) -> Result<Self> {
        let broken = |reason: String| {
            Error::data(path, reason, "give a checkpoint that `tagseg train` wrote, or the folder of its run")
        };
        let bytes = std::fs::read(path).map_err(|error| broken(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| broken(format!("is damaged: {error}")))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
        let metadata = header
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(KEY))
            .ok_or_else(|| broken("holds no configuration".into()))?;
        let metadata: Metadata =
            serde_json::from_str(metadata).map_err(|error| broken(format!("its configuration is damaged: {error}")))?;
        let mut values = BTreeMap::new();
        for (name, view) in tensors.tensors() {
            if view.dtype() != Dtype::F32 {
                return Err(broken(format!("tensor `{name}` is not f32")));
            }
            let data = bytemuck::pod_collect_to_vec::<u8, f32>(view.data());
            values.insert(name, (view.shape().to_vec(), data));
        }
        Ok(Checkpoint {
            step: metadata.step,
            config: Config::from_toml(&metadata.config)?,
            classes: metadata.classes,
            tensors: values,
        })
    }

    /// The newest checkpoint of a run's folder, or the file itself.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn find(run: &Path) -> Result<PathBuf> {
        if run.is_file() {
            return Ok(run.to_owned());
        }
        let folder = run.join("checkpoints");
        let missing = |reason: &str| {
            Error::data(run, reason, "give the folder of a run (`tagseg train --out RUN`) or a .safetensors file")
        };
        if !run.exists() {
            return Err(missing("does not exist"));
        }
        list(&folder).pop().ok_or_else(|| missing("holds no checkpoint"))
    }

    /// The file of a step in a run's folder.
    pub fn path_in(run: &Path, step: usize) -> PathBuf {
        run.join("checkpoints").join(format!("step_{step:07}.safetensors"))
    }

    /// Deletes all but the newest `keep` checkpoints of a run's folder; 0 keeps all.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be deleted.
    pub fn prune(run: &Path, keep: usize) -> Result<()> {
        let files = list(&run.join("checkpoints"));
        let surplus = if keep == 0 { 0 } else { files.len().saturating_sub(keep) };
        files[..surplus].iter().try_for_each(|file| std::fs::remove_file(file).map_err(Error::io(file)))
    }
}

/// Checkpoints of a folder, oldest first: their names sort by step.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    files.sort();
    files
}

/// Writes a file under a temporary name, syncs it and renames it into place.
///
/// # Errors
/// [`Error::Io`] if a step fails; the old file, if any, is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let beside = path.with_extension("partial");
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(Error::io(path))
}
