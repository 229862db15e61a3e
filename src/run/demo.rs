//! `tagseg demo`: segments photographs with the bundled network, then generates data, trains on it, scores and writes a
//! report page.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::data::shapes::{ShapesOptions, generate};
use crate::engine::gpu::DeviceChoice;
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::method::{Methods, Protocol};
use crate::run::device;
use crate::run::eval::{PredictOptions, Predicted, predict};
use crate::run::export::Form;
use crate::run::page::{PageOptions, page};
use crate::run::record::Scores;
use crate::run::report::RunSeries;
use crate::run::train::{Stop, TrainOptions, run};

/// What a demo needs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Validated configuration.
    pub config: Config,
    /// Folder for data, run and report.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Whether to replace what `out` holds.
    pub overwrite: bool,
}

/// Photographs without restrictions (`examples/photos/README.md`).
const PHOTOGRAPHS: [(&str, &[u8]); 2] = [
    ("chelsea.jpg", include_bytes!("../../examples/photos/chelsea.jpg")),
    ("astronaut.jpg", include_bytes!("../../examples/photos/astronaut.jpg")),
];

/// Segments the photographs with the bundled network; returns the pictures of them in `folder`.
///
/// # Errors
/// If the device was lost, or a file cannot be written.
pub fn photographs(folder: &Path, device: &DeviceChoice, overwrite: bool) -> Result<Vec<PathBuf>> {
    // Fail before anything is written if there is no device.
    device::open(device)?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let inputs: Vec<_> = PHOTOGRAPHS.iter().map(|(name, _)| folder.join(name)).collect();
    for (path, (_, bytes)) in inputs.iter().zip(PHOTOGRAPHS) {
        write_whole(path, bytes)?;
    }
    let mut pictures = Vec::new();
    let options = PredictOptions {
        forms: vec![Form::Png, Form::Overlay],
        network: None,
        inputs,
        out: folder.to_owned(),
        device: device.clone(),
        overwrite,
        protocol: Protocol::Train,
        crf: false,
        seeds: false,
        assignments: Vec::new(),
        methods: Methods::default(),
    };
    predict(&options, |predicted, _| {
        if let Predicted::Mask { files: [_, overlay], .. } = predicted {
            pictures.push(overlay.to_owned());
        }
    })?;
    Ok(pictures)
}

/// The configuration of the demo: the preset `nano` with crops as large as the generated pictures and a narrower range of
/// scales (docs/nano.md).
///
/// # Errors
/// If the number of steps is invalid.
pub fn config(steps: &str) -> Result<Config> {
    let mut config = Config::preset("nano")?;
    config.set(&format!("train.crop={}", ShapesOptions::default().size))?;
    config.set("data.scale=[0.8,1.25]")?;
    config.set(&format!("train.iters={steps}"))?;
    config.validate()?;
    Ok(config)
}

/// Generates the data, trains on it and writes `report.html`; returns its path and the final scores.
///
/// # Errors
/// As [`run`].
pub fn demo(options: &DemoOptions) -> Result<(PathBuf, Scores)> {
    let DemoOptions { config, out, device, overwrite } = options;
    // Fail before anything is written if there is no device.
    device::open(device)?;
    let (data, folder) = (out.join("data"), out.join("run"));
    let shapes =
        ShapesOptions { size: config.train_crop, seed: config.seed, overwrite: *overwrite, ..Default::default() };
    generate(&data, &shapes)?;
    let summary = run(&TrainOptions {
        config: config.clone(),
        data: data.clone(),
        out: folder.clone(),
        weights: None,
        partial: false,
        device: device.clone(),
        overwrite: *overwrite,
        skip_broken: false,
        stop: Stop::default(),
        series: RunSeries::default(),
        methods: Methods::default(),
        world: World::default(),
    })?;

    let parameters = summary.parameters as f64 / 1e6;
    page(&PageOptions {
        run: folder,
        data,
        out: out.join("report.html"),
        device: device.clone(),
        title: "Shapes, learned from tags".into(),
        summary: format!(
            "A network with {parameters:.2} million parameters was trained on {} images. The only labels were the \
             names of the shapes in each image, not their positions. The results below are for images that it was not \
             trained on.",
            shapes.train
        ),
        facts: vec![("seconds per step".into(), format!("{:.2}", summary.seconds_per_step))],
        methods: Methods::default(),
    })
}
