//! `tagseg train`: a run from a data set to a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::{StepValues, Trainer, failure};
use crate::bmp::NetworkConfig;
use crate::config::Config;
use crate::data::{AugmentOptions, Dataset, DatasetOptions, Loader, LoaderOptions};
use crate::error::{Error, Result};
use crate::eval::{Gallery, Model, Scorer};
use crate::report::{
    EmptyMasks, EvalRecord, EvalScores, Losses, Progress, RecordWriter, Scores, StepRecord, contact_sheet,
};
use crate::session::Session;
use crate::weights::{Checkpoint, Import};

/// What a run needs.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Validated configuration.
    pub config: Config,
    /// Data set in VOC layout.
    pub data: PathBuf,
    /// Folder of the run.
    pub out: PathBuf,
    /// Weights to start from, of an encoder alone or of a whole network.
    pub weights: Option<PathBuf>,
    /// Whether to take what fits of them and leave the rest.
    pub partial: bool,
    /// Device, see [`Session::open`].
    pub device: String,
    /// Whether to replace what `out` holds.
    pub overwrite: bool,
    /// Whether to leave out images that do not decode.
    pub skip_broken: bool,
}

/// What a run made.
#[derive(Clone, Debug)]
pub struct TrainSummary {
    /// Name of the device.
    pub device: String,
    /// Names of the foreground classes.
    pub classes: Vec<String>,
    /// Scores of the last evaluation, if the data set has masks to score on.
    pub scores: Option<Scores>,
    /// Seconds a step, over the whole run without evaluations.
    pub seconds_per_step: f64,
}

/// Images shown at every evaluation.
const SHOWN: usize = 6;

/// Trains a network and leaves `config.toml`, `metrics.jsonl`, `checkpoints/` and `pictures/` in the run's folder.
///
/// # Errors
/// Everything that is wrong with data, configuration or device is found before anything is written.
pub fn run(options: &TrainOptions) -> Result<TrainSummary> {
    let TrainOptions { config, out, .. } = options;
    let mut dataset = Dataset::open(&options.data, "train", &DatasetOptions::default())?;
    dataset.check_images(options.skip_broken)?;
    let dataset = Arc::new(dataset);
    let foreground = dataset.classes().len();
    let validation = validation_set(options, foreground)?;

    let session = Session::open(&options.device)?;
    let network = NetworkConfig::new(config, foreground);
    let window = config.train_log_every;
    let mut trainer = Trainer::new(&session, config, &network, dataset.max_tags(), window)?;
    let loading = LoaderOptions {
        batch: config.batch_global,
        crop: config.train_crop,
        seed: config.seed,
        augment: AugmentOptions { scale: (config.data_scale[0], config.data_scale[1]), flip: config.data_flip },
        ..LoaderOptions::default()
    };
    let mut loader = Loader::new(dataset.clone(), loading.clone())?;
    trainer.check()?;
    if let Some(validation) = &validation {
        Scorer::new(&Model::new(&session, config, &network, dataset.classes())?)?.check(validation)?;
    }
    let weights = options.weights.as_deref();
    let weights = weights.map(|path| Import::read(path, trainer.parameters(), options.partial)).transpose()?;
    if let Some(weights) = &weights {
        weights.put(&session)?;
    }
    trainer.prepare(0)?;

    prepare_folder(out, options.overwrite)?;
    std::fs::write(out.join("config.toml"), config.to_toml()).map_err(Error::io(out))?;
    let mut record = RecordWriter::append_to(out.join("metrics.jsonl"))?;
    let mut progress = Progress::new(config.train_iters, window.max(config.train_iters / 60));
    for notice in &dataset.notices {
        progress.note(notice);
    }
    if let Some(weights) = &weights {
        progress.note(&weights.to_string());
    }
    progress.note(&introduction(&trainer, &dataset, config));

    let mut scores = None;
    let mut clock = Clock::start();
    for n in 0..config.train_iters {
        let batch = loader.next()?;
        trainer.step(n, &batch.images, &batch.tags, &batch.boxes)?;
        let done = n + 1;
        let last = done == config.train_iters;
        let (logs, saves) = (done % window == 0 || last, done % config.train_eval_every == 0 || last);
        let first = n / window * window;
        let values = if logs || saves { trainer.values(first..done)? } else { Vec::new() };
        if let Some(offset) = values.iter().position(|values| !values.finite) {
            let step = first + offset;
            let mut loader = Loader::new(dataset.clone(), LoaderOptions { start_step: step as u64, ..loading })?;
            let sizes = [foreground, dataset.max_tags()];
            return Err(failure::explain(&out.join("failure"), &trainer, step, &loader.next()?, config, sizes)?);
        }
        if logs {
            let seconds = clock.lap();
            let line = step_record(n, &values, trainer.schedule().rate(crate::bmp::Group::Encoder, n))
                .with_speed((values.len() * config.batch_global) as f64 / seconds);
            record.write(line)?;
            progress.step(done, &line.loss, line.images_per_second);
        }
        if saves {
            session.wait()?;
            clock.pause();
            let classes = dataset.classes();
            let checkpoint = Checkpoint::take(&session, trainer.parameters(), done, config, classes)?;
            checkpoint.save(&Checkpoint::path_in(out, done))?;
            Checkpoint::prune(out, config.train_keep)?;
            if let Some(validation) = &validation {
                let model = Model::new(&session, config, &network, classes)?;
                scores = Some(evaluate(&model, validation, done, out, &mut record, &progress)?);
            }
            clock.resume();
        }
    }
    progress.finish();
    Ok(TrainSummary {
        device: session.name().to_owned(),
        classes: dataset.classes().to_vec(),
        scores,
        seconds_per_step: clock.total / config.train_iters as f64,
    })
}

/// Time spent on steps, evaluations left out.
struct Clock {
    since: Instant,
    lap: f64,
    total: f64,
}

impl Clock {
    fn start() -> Self {
        Clock { since: Instant::now(), lap: 0.0, total: 0.0 }
    }

    fn pause(&mut self) {
        self.lap += self.since.elapsed().as_secs_f64();
    }

    fn resume(&mut self) {
        self.since = Instant::now();
    }

    /// Seconds since the last lap.
    fn lap(&mut self) -> f64 {
        self.pause();
        self.resume();
        self.total += self.lap;
        std::mem::take(&mut self.lap)
    }
}

/// The split to score on, if there is one with masks.
fn validation_set(options: &TrainOptions, foreground: usize) -> Result<Option<Dataset>> {
    let list = options.data.join("ImageSets").join("Segmentation").join("val.txt");
    if !list.is_file() {
        return Ok(None);
    }
    let mut dataset = Dataset::open(&options.data, "val", &DatasetOptions { classes: Some(foreground) })?;
    dataset.check_images(options.skip_broken)?;
    if !dataset.has_masks() {
        return Ok(None);
    }
    dataset.check_masks()?;
    Ok(Some(dataset))
}

fn prepare_folder(out: &Path, overwrite: bool) -> Result<()> {
    if overwrite {
        // Only what a run writes is removed, never a folder that happens to bear the name.
        for name in ["config.toml", "metrics.jsonl"] {
            let file = out.join(name);
            if file.is_file() {
                std::fs::remove_file(&file).map_err(Error::io(&file))?;
            }
        }
        for name in ["checkpoints", "pictures", "failure"] {
            let folder = out.join(name);
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
            }
        }
    }
    for name in ["checkpoints", "pictures"] {
        let folder = out.join(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    Ok(())
}

/// The header: what is trained, on what, with how much memory.
fn introduction(trainer: &Trainer, dataset: &Dataset, config: &Config) -> String {
    let parameters: usize =
        trainer.parameters().iter().filter(|parameter| parameter.trained).map(|parameter| parameter.shape.len()).sum();
    let plan = trainer.program().and_then(|program| program.plan()).map_or(String::new(), |plan| {
        format!(", {} dispatches a step, {:.0} MiB", plan.dispatches(), plan.bytes() as f64 / f64::from(1 << 20))
    });
    format!(
        "{} on {}: {} images, {} classes, {parameters} parameters, batch {} of {}²{plan}",
        config.model_backbone,
        trainer.session().name(),
        dataset.len(),
        dataset.classes().len(),
        config.batch_global,
        config.train_crop
    )
}

/// Means over the steps of a window.
fn step_record(n: usize, values: &[StepValues], lr: f64) -> StepRecord {
    let sum = |of: fn(&StepValues) -> f64| values.iter().map(of).sum::<f64>();
    let mean = |of: fn(&StepValues) -> f64| sum(of) / values.len() as f64;
    StepRecord {
        step: n + 1,
        loss: Losses {
            total: mean(|v| v.total),
            cls: mean(|v| v.cls),
            c2s: mean(|v| v.c2s),
            s2c: mean(|v| v.s2c),
            aff: mean(|v| v.aff),
        },
        lr,
        images_per_second: 0.0,
        empty: EmptyMasks { c2s: sum(|v| v.c2s_empty) as u64, s2c: sum(|v| v.s2c_empty) as u64 },
    }
}

/// Scores the network on the validation set, records it and draws its pictures.
fn evaluate(
    model: &Model,
    validation: &Dataset,
    step: usize,
    out: &Path,
    record: &mut RecordWriter,
    progress: &Progress,
) -> Result<Scores> {
    let mut scorer = Scorer::new(model)?;
    let mut gallery = Gallery::new(SHOWN);
    let scores = scorer.score(validation, Some(&mut gallery))?;
    record.write(EvalRecord {
        step,
        eval: EvalScores {
            seg_miou: scores.seg.miou,
            cam_miou: scores.cam.miou,
            y_c_miou: scores.y_c.miou,
            cls_f1: scores.cls_f1,
            seg_iou: scores.seg.iou.clone(),
        },
    })?;
    let path = out.join("pictures").join(format!("step_{step:07}.png"));
    let sheet = contact_sheet(&gallery.samples()?);
    sheet.save(&path).map_err(|error| Error::data(&path, error.to_string(), "check the disk"))?;
    progress.note(&format!(
        "step {step}: mIoU segmentation {:.3}, seeds {:.3}, Y_c {:.3}; tags F1 {:.3}",
        scores.seg.miou, scores.cam.miou, scores.y_c.miou, scores.cls_f1
    ));
    Ok(scores)
}

impl StepRecord {
    fn with_speed(mut self, images_per_second: f64) -> Self {
        self.images_per_second = images_per_second;
        self
    }
}
