//! A step whose total or gradients are not finite: stopped before the weights are touched, kept so that anyone can
//! repeat it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::trainer::{StepBatch, Trainer};
use crate::bmp::NetworkConfig;
use crate::config::Config;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::gpu::DeviceChoice;
use crate::session::Session;
use crate::weights::write_atomically;

/// Key of our entry in the file's metadata.
const KEY: &str = "tagseg.failure";

/// What the metadata tells of the step.
#[derive(Serialize, Deserialize)]
struct Metadata {
    step: usize,
    files: Vec<String>,
    foreground: usize,
    max_tags: usize,
    config: String,
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("step.safetensors")
}

/// Writes everything that repeating step `n` on `batch` needs into `folder`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn keep(
    folder: &Path,
    trainer: &Trainer,
    n: usize,
    batch: &Batch,
    config: &Config,
    [foreground, max_tags]: [usize; 2],
) -> Result<()> {
    let session = trainer.session();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for parameter in trainer.parameters() {
        let (shape, values) = session.state(&parameter.name)?;
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        tensors.push((parameter.name.clone(), shape, bytemuck::cast_slice(&values).to_vec()));
    }
    let floats = |name: &str, values: &[f32]| {
        (name.to_owned(), vec![values.len()], bytemuck::cast_slice::<f32, u8>(values).to_vec())
    };
    tensors.push(floats("batch.images", &batch.images));
    tensors.push(floats("batch.tags", &batch.tags));
    for (name, integers) in [("batch.boxes", &batch.boxes), ("batch.masks", &batch.masks)] {
        let values: Vec<f32> = integers.iter().map(|&value| value as f32).collect();
        tensors.push(floats(name, &values));
    }

    let (step, files) = (n, batch.ids.clone());
    let metadata = Metadata { step, files, foreground, max_tags, config: config.to_toml() };
    let metadata = serde_json::to_string(&metadata).map_err(|error| Error::Graph(error.to_string()))?;
    let broken = |error: safetensors::SafeTensorError| Error::Graph(format!("failure: {error}"));
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(broken)?;
    let bytes = safetensors::serialize(views, Some(HashMap::from([(KEY.into(), metadata)]))).map_err(broken)?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    write_atomically(&file_in(folder), &bytes)
}

/// Keeps the failed step `n` and finds what broke; gives the error that ends the run.
///
/// # Errors
/// If the step cannot be kept or repeated.
pub fn explain(
    folder: &Path,
    trainer: &Trainer,
    n: usize,
    batch: &Batch,
    config: &Config,
    sizes: [usize; 2],
) -> Result<Error> {
    keep(folder, trainer, n, batch, config, sizes)?;
    let culprit = trainer.diagnose(n, batch.into())?.unwrap_or_else(|| "nothing when it was repeated".into());
    Ok(Error::data(
        folder,
        format!("step {n} is not finite, first in {culprit}; its images are {}", batch.ids.join(", ")),
        "lower optim.lr or look at the images; `tagseg replay` on this folder repeats the step",
    ))
}

/// What [`replay`] found.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The step.
    pub step: usize,
    /// Ids of its images.
    pub files: Vec<String>,
    /// The first value that is not finite, if there is one on this device.
    pub culprit: Option<String>,
}

/// `tagseg replay`: repeats a kept step on a device.
///
/// # Errors
/// [`Error::Data`] if the folder holds no kept step.
pub fn replay(folder: &Path, device: impl Into<DeviceChoice>) -> Result<Replayed> {
    let path = file_in(folder);
    let broken = |reason: String| Error::data(&path, reason, "give the folder `failure` that a stopped run left");
    let bytes = std::fs::read(&path).map_err(|error| broken(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| broken(format!("is damaged: {error}")))?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
    let metadata = header.metadata().as_ref().and_then(|entries| entries.get(KEY));
    let metadata = metadata.ok_or_else(|| broken("holds no kept step".into()))?;
    let Metadata { step, files, foreground, max_tags, config } =
        serde_json::from_str(metadata).map_err(|error| broken(format!("is damaged: {error}")))?;
    let config = Config::from_toml(&config)?;
    let read = |name: &str| -> Result<Vec<f32>> {
        let view = file.tensor(name).map_err(|_| broken(format!("lacks `{name}`")))?;
        Ok(bytemuck::pod_collect_to_vec(view.data()))
    };

    let mut session = Session::open(device)?;
    let mut trainer = Trainer::new(&session, &config, &NetworkConfig::new(&config, foreground), max_tags, 1)?;
    trainer.check()?;
    for parameter in trainer.parameters() {
        session.set_state(&parameter.name, &parameter.shape, &read(&parameter.name)?)?;
    }
    let (images, tags) = (read("batch.images")?, read("batch.tags")?);
    let integers = |name: &str| Ok::<_, Error>(read(name)?.into_iter().map(|value| value as i32).collect::<Vec<_>>());
    let (boxes, masks) = (integers("batch.boxes")?, integers("batch.masks")?);
    let culprit = trainer.diagnose(step, StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &masks })?;
    Ok(Replayed { step, files, culprit })
}
