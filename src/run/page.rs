//! The report page of a finished run: `report.html`, made from its folder and the data set that it is scored on.

use std::path::PathBuf;

use crate::data::{Dataset, DatasetOptions};
use crate::engine::gpu::DeviceChoice;
use crate::error::Result;
use crate::method::{Methods, Protocol, Schedule};
use crate::parts::network::NetworkConfig;
use crate::run::eval::{Gallery, Model, Scoring};
use crate::run::record::{Scores, read_records};
use crate::run::report::Report;

/// Images shown on the page.
const SHOWN: usize = 8;

/// Options of a run's report page.
#[derive(Clone, Debug)]
pub struct PageOptions {
    /// The run's folder.
    pub run: PathBuf,
    /// Data set with a split `val` that has masks.
    pub data: PathBuf,
    /// The page's file.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Heading.
    pub title: String,
    /// A sentence or two below it.
    pub summary: String,
    /// Facts to show in addition to those of the run.
    pub facts: Vec<(String, String)>,
    /// Where the method of the run is found.
    pub methods: Methods,
}

/// Scores the newest checkpoint of a run and writes its page; returns the page's path and the scores.
///
/// # Errors
/// If the run or the data set cannot be used, or the run's method is not in `methods`.
pub fn page(options: &PageOptions) -> Result<(PathBuf, Scores)> {
    let model = Model::load_with(&options.run, &options.device, &options.methods)?;
    let (config, method) = (model.config(), model.method());
    let validation = Dataset::open(&options.data, "val", &DatasetOptions::for_model(config, model.classes()))?;
    let mut gallery = Gallery::new(SHOWN);
    let mut scoring = Scoring::new(&model, &validation, Protocol::Train, false)?.shown_in(&mut gallery);
    while scoring.advance()? > 0 {}
    let scores = scoring.scored().scores;
    let encoder = NetworkConfig::new(config, model.classes().len())?.encoder;
    let facts = [
        ("method", method.name().to_owned()),
        ("device", model.session().name().to_owned()),
        ("steps", format!("{} of {} images", config.train_iters, config.batch_global)),
        ("seed", config.seed.to_string()),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value));
    let report = Report {
        title: options.title.clone(),
        summary: options.summary.clone(),
        facts: facts.chain(options.facts.iter().cloned()).collect(),
        classes: std::iter::once("background".to_owned()).chain(model.classes().iter().cloned()).collect(),
        maps: method.maps().to_vec(),
        scores: Some(scores.clone()),
        records: read_records(options.run.join("metrics.jsonl"))?,
        events: Schedule::new(method, config, &encoder).beginnings(),
        samples: gallery.samples()?,
        config: config.to_toml(),
    };
    report.save(&options.out)?;
    Ok((options.out.clone(), scores))
}
