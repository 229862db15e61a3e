//! `tagseg demo`: data, training, scores and a page to look at, from nothing.

use std::path::PathBuf;

use super::run::{TrainOptions, run};
use super::stop::Stop;
use crate::config::Config;
use crate::data::shapes::{ShapesOptions, generate};
use crate::data::{Dataset, DatasetOptions};
use crate::engine::gpu::DeviceChoice;
use crate::error::Result;
use crate::method::bmp::Schedule;
use crate::run::device;
use crate::run::eval::{Gallery, Model, Protocol, Scoring};
use crate::run::report::{Place, Report, Scores, read_records};

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

/// Images shown in the report.
const SHOWN: usize = 8;

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
        place: Place::default(),
    })?;

    let model = Model::load(&folder, device)?;
    let validation = Dataset::open(&data, "val", &DatasetOptions { classes: Some(model.classes().to_vec()) })?;
    let mut gallery = Gallery::new(SHOWN);
    let mut scoring = Scoring::new(&model, &validation, Protocol::Train, false)?.shown_in(&mut gallery);
    while scoring.advance()? > 0 {}
    let scores = scoring.scored().scores;
    let mut classes = vec!["background".to_owned()];
    classes.extend(summary.classes.iter().cloned());
    let report = Report {
        title: "Shapes, learned from tags".into(),
        summary: format!(
            "A network of {} blocks saw 500 pictures and, for each, only the names of the shapes in it. Nobody told \
             it where they are. Below is what it finds in {} pictures it never saw.",
            config.model_backbone.sizes().depths.iter().sum::<usize>(),
            scores.images
        ),
        facts: vec![
            ("device".into(), summary.device.clone()),
            ("steps".into(), format!("{} of {} images", config.train_iters, config.batch_global)),
            ("seconds a step".into(), format!("{:.2}", summary.seconds_per_step)),
            ("seed".into(), config.seed.to_string()),
        ],
        classes,
        scores: Some(scores.clone()),
        records: read_records(folder.join("metrics.jsonl"))?,
        events: Schedule::new(config).beginnings(),
        samples: gallery.samples()?,
        config: config.to_toml(),
    };
    let path = out.join("report.html");
    report.save(&path)?;
    Ok((path, scores))
}
