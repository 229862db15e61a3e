//! A step whose loss or gradients are not finite: training stops before the weights change and saves the step, so that
//! anyone can repeat it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::trainer::{StepBatch, Trainer};
use crate::config::Config;
use crate::data::Batch;
use crate::engine::gpu::DeviceChoice;
use crate::error::{Error, Result};
use crate::formats::sealed;
use crate::formats::sealed::Tensors;
use crate::formats::storage::Reals;
use crate::method::Methods;
use crate::parts::network::NetworkConfig;
use crate::run::device;

/// The key of the file's metadata.
const KEY: &str = "tagseg.failure";

/// The metadata of the step.
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

/// Writes everything that is needed to repeat step `n` on `batch` to `folder`.
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
    let names: Vec<&str> = trainer.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let states = names.iter().map(|name| (*name).to_owned()).zip(trainer.session().states(&names)?);
    let reals = |integers: &[i32]| integers.iter().map(|&value| value as f32).collect();
    let pixels = batch.images.iter().map(|&byte| f32::from(byte)).collect();
    let (boxes, masks) = (reals(&batch.boxes), reals(&batch.masks));
    let parts = [("pixels", pixels), ("tags", batch.tags.clone()), ("boxes", boxes), ("masks", masks)];
    let parts = parts.map(|(name, values)| (format!("batch.{name}"), (vec![values.len()], values)));
    let tensors: Tensors = states.chain(parts).collect();

    let (step, files) = (n, batch.ids.clone());
    let metadata = Metadata { step, files, foreground, max_tags, config: config.to_toml() };
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    sealed::write(&file_in(folder), KEY, &metadata, tensors.iter(), Reals::Whole)
}

/// Saves the failed step `n` and finds the first value that is not finite; returns the error that ends the run.
///
/// # Errors
/// If the step cannot be saved or repeated.
pub fn explain(
    folder: &Path,
    trainer: &Trainer,
    n: usize,
    batch: &Batch,
    config: &Config,
    sizes: [usize; 2],
) -> Result<Error> {
    keep(folder, trainer, n, batch, config, sizes)?;
    let culprit = trainer.diagnose(n, batch.into())?.unwrap_or_else(|| "no value when it was repeated".into());
    Ok(Error::data(
        folder,
        format!("step {n} is not finite, first in {culprit}; its images are {}", batch.ids.join(", ")),
        "lower optim.lr or inspect the images; `tagseg replay` on this folder repeats the step",
    ))
}

/// The result of [`replay`].
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The step.
    pub step: usize,
    /// Ids of its images.
    pub files: Vec<String>,
    /// The first value that is not finite, if there is one on this device.
    pub culprit: Option<String>,
}

/// `tagseg replay`: repeats a saved step on a device.
///
/// # Errors
/// [`Error::Data`] if the folder contains no saved step; [`Error::Config`] if its method is not in `methods`.
pub fn replay(folder: &Path, device: impl Into<DeviceChoice>, methods: &Methods) -> Result<Replayed> {
    let path = file_in(folder);
    let remedy = "give the folder `failure` of a stopped run";
    let (metadata, mut tensors): (Metadata, Tensors) =
        sealed::read(&path, &sealed::bytes(&path, remedy)?, KEY, remedy)?;
    let Metadata { step, files, foreground, max_tags, config } = metadata;
    let config = Config::from_toml(&config)?;
    let mut take = |name: &str| {
        let values = tensors.remove(name).map(|(_, values)| values);
        values.ok_or_else(|| Error::data(&path, format!("lacks `{name}`"), remedy))
    };

    let mut session = device::open(device)?;
    let (method, network) = (methods.of(&config)?, NetworkConfig::new(&config, foreground)?);
    let mut trainer = Trainer::with_method(&session, &method, &config, &network, max_tags, 1)?;
    trainer.check()?;
    for parameter in trainer.parameters() {
        session.set_state(&parameter.name, &parameter.shape, &take(&parameter.name)?)?;
    }
    let (pixels, tags) = (take("batch.pixels")?, take("batch.tags")?);
    let images: Vec<_> = pixels.into_iter().map(|value| value as u8).collect();
    let mut integers =
        |name: &str| Ok::<_, Error>(take(name)?.into_iter().map(|value| value as i32).collect::<Vec<_>>());
    let (boxes, masks) = (integers("batch.boxes")?, integers("batch.masks")?);
    let culprit = trainer.diagnose(step, StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &masks })?;
    Ok(Replayed { step, files, culprit })
}
