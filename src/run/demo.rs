//! `tagseg demo`: data, training, scores and a page to look at, from nothing.

use std::path::PathBuf;

use crate::config::Config;
use crate::data::shapes::{ShapesOptions, generate};
use crate::engine::gpu::DeviceChoice;
use crate::error::Result;
use crate::method::Methods;
use crate::run::device;
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

/// Makes the data, trains on it, and writes `report.html`; gives its path and the final scores.
///
/// # Errors
/// As [`run`].
pub fn demo(options: &DemoOptions) -> Result<(PathBuf, Scores)> {
    let DemoOptions { config, out, device, overwrite } = options;
    // Without a device nothing is worth writing.
    device::open(device)?;
    let (data, folder) = (out.join("data"), out.join("run"));
    let size = config.train_crop;
    generate(&data, &ShapesOptions { train: 500, val: 120, size, seed: config.seed, overwrite: *overwrite })?;
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
    })?;

    let parameters = summary.parameters as f64 / 1e6;
    page(&PageOptions {
        run: folder,
        data,
        out: out.join("report.html"),
        device: device.clone(),
        title: "Shapes, learned from tags".into(),
        summary: format!(
            "A network of {parameters:.2} million weights saw 500 pictures and, for each, only the names of the shapes \
             in it. Nobody told it where they are. Below is what it finds in pictures it never saw."
        ),
        facts: vec![("seconds a step".into(), format!("{:.2}", summary.seconds_per_step))],
        methods: Methods::default(),
    })
}
