//! `tagseg train`: a run from a data set to a folder.

use std::path::PathBuf;

use super::clock::Clock;
use super::failure;
use super::folder::RunFolder;
use super::means::step_record;
use super::setting::{Setting, TrainingData};
use super::stop::Stop;
use crate::config::{Config, Start};
use crate::data::Loader;
use crate::engine::gpu::{DeviceChoice, Plan};
use crate::engine::nn::Parameter;
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::formats::durable::write_atomically;
use crate::method::{Methods, Protocol, StepValues};
use crate::run::bundled;
use crate::run::eval::{Gallery, Scoring};
use crate::run::record::{EvalRecord, EventWriter, RecordWriter, Scores};
use crate::run::report::{Progress, RunSeries, contact_sheet};
use crate::run::weights::{BEST, Best, Checkpoint, Import, RecordFacts, RunFacts, Training};

/// Options of a training run.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Validated configuration.
    pub config: Config,
    /// Data set in VOC layout.
    pub data: PathBuf,
    /// Folder of the run.
    pub out: PathBuf,
    /// Weights to start from, of an encoder alone or of a whole network: a file, or a run.
    pub weights: Option<PathBuf>,
    /// Whether to load only the tensors that match and initialise the rest.
    pub partial: bool,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Whether to replace what `out` holds.
    pub overwrite: bool,
    /// Whether to skip images that do not decode.
    pub skip_broken: bool,
    /// Requests an early stop.
    pub stop: Stop,
    /// Its position in a series of runs.
    pub series: RunSeries,
    /// Where the method that the configuration names is found.
    pub methods: Methods,
    /// The processes that train together; this one alone by default. The first prints and writes the folder.
    pub world: World,
}

/// The result of a training run.
#[derive(Clone, Debug)]
pub struct TrainSummary {
    /// Name of the device.
    pub device: String,
    /// Names of the foreground classes.
    pub classes: Vec<String>,
    /// Number of trained parameters; 0 if the run was already finished.
    pub parameters: usize,
    /// Scores of the last evaluation; none if the data set has no masks to score on.
    pub scores: Option<Scores>,
    /// Seconds per step over the whole run, without evaluations and saves.
    pub seconds_per_step: f64,
    /// The step at which it was stopped on request, if it was.
    pub stopped: Option<usize>,
}

/// Images drawn at every evaluation.
const SHOWN: usize = 6;

/// Trains a network and writes `config.toml`, `metrics.jsonl`, `checkpoints/` and `pictures/` to the run's folder.
///
/// # Errors
/// Data, configuration and device are checked before anything is written.
pub fn run(options: &TrainOptions) -> Result<TrainSummary> {
    let mut setting = open(options)?;
    setting.agree(0)?;
    let loader = setting.loader(setting.position(0))?;
    let weights = initial_weights(options, setting.trainer.parameters())?;
    if let Some(weights) = &weights {
        weights.put(&setting.session)?;
    }
    setting.prepare(0)?;
    // All ranks have read the weights, which may be those of the run that is replaced.
    options.world.any(false)?;

    let files = match options.world.is_first() {
        true => {
            let folder = RunFolder::create(&options.out, options.overwrite)?;
            write_atomically(&folder.config(), setting.config.to_toml().as_bytes())?;
            let record = RecordWriter::append_to(folder.metrics())?;
            let tensorboard = setting.config.train_tensorboard;
            let events = tensorboard.then(|| EventWriter::create(folder.path(), setting.classes())).transpose()?;
            Some(Files { folder, record, events })
        }
        false => None,
    };
    let mut run = Run::new(setting, files, loader, &options.stop, &options.series);
    if let Some(weights) = &weights {
        run.progress.note(&weights.to_string());
    }
    // Detects a full disk before there is work to lose; from here on the run can be resumed.
    run.save(0, true)?;
    run.train(0, true)
}

/// The weights that training starts from, if they are not random.
fn initial_weights(options: &TrainOptions, parameters: &[Parameter]) -> Result<Option<Import>> {
    let TrainOptions { config, weights, partial, .. } = options;
    match (weights, config.model_start) {
        (Some(path), _) => Import::read(path, parameters, *partial).map(Some),
        (None, Start::Bundled) => {
            let (path, bytes) = bundled::encoder(&config.model_backbone)?;
            Import::from_bytes(path, bytes, parameters).map(Some)
        }
        (None, Start::Random) => Ok(None),
    }
}

/// The plan of the step that needs the most memory; nothing is written. `None` for the interpreter, which does not
/// plan.
///
/// # Errors
/// As [`run`]: also if the plan does not fit the device.
pub fn plan(options: &TrainOptions) -> Result<Option<Plan>> {
    open(options)?.trainer.check()
}

/// Data, device and network of a new run.
fn open(options: &TrainOptions) -> Result<Setting> {
    let TrainOptions { config, methods, skip_broken, world, .. } = options;
    let config = &of_world(config, world)?;
    methods.check(config)?;
    let method = methods.of(config)?;
    world.limit_waits(config.train_rank_timeout as u64);
    let data = TrainingData::open(&options.data, config, &*method, *skip_broken, world)?;
    Setting::open(config, &method, data, &options.device, world)
}

/// A configuration for the processes that train together: each is a rank.
///
/// # Errors
/// [`Error::Config`] if the batch cannot be divided among them, or the configuration asks for another number.
pub(super) fn of_world(config: &Config, world: &World) -> Result<Config> {
    let (mut config, size) = (config.clone(), world.size());
    if world.is_shared() && ![1, size].contains(&config.batch_ranks) {
        let reason = format!("is {}, but there are {size} processes", config.batch_ranks);
        return Err(Error::config("batch.ranks", reason, "start as many processes, or one, or omit the option"));
    }
    if world.is_shared() {
        config.batch_ranks = size;
        config.validate()?;
    }
    Ok(config)
}

/// A run in progress.
pub(super) struct Run {
    setting: Setting,
    /// Those of the run, if this process writes them.
    files: Option<Files>,
    loader: Loader,
    progress: Progress,
    stop: Stop,
    pub(super) clock: Clock,
    pub(super) best: Option<Best>,
    /// The newest checkpoint, by step and file.
    pub(super) saved: Option<(usize, PathBuf)>,
    scores: Option<Scores>,
}

/// What a run writes.
pub(super) struct Files {
    pub(super) folder: RunFolder,
    pub(super) record: RecordWriter,
    /// The record as event files, if they are written.
    pub(super) events: Option<EventWriter>,
}

/// Whether no evaluation of the last `train.patience` up to `step` was better than the best before them. The count follows
/// from the step of the best, which a checkpoint has.
pub(super) fn is_out_of_patience(config: &Config, step: usize, best: Option<Best>) -> bool {
    let Config { train_patience: patience, train_eval_every: every, .. } = *config;
    patience > 0 && best.is_some_and(|best| (step / every).saturating_sub(best.step / every) >= patience)
}

/// The last line of a run that `train.patience` ended; it names the best checkpoint.
pub(super) fn impatience(folder: &RunFolder, config: &Config, step: usize, best: Option<Best>) -> String {
    let (run, patience) = (folder.path().display(), config.train_patience);
    let best = best.map_or(String::new(), |best| {
        let path = folder.checkpoints().path(best.step);
        format!(": the best is step {} with mIoU {:.3}, {}", best.step, best.seg_miou, path.display())
    });
    format!("{run}: ended at step {step}, as no score was better in {patience} evaluations{best}")
}

/// How the training loop ended.
enum End {
    Complete,
    /// After this many steps, as no score was better for `train.patience` evaluations.
    Patience(usize),
    /// Stopped on request after this many steps, which are saved.
    Stopped(usize),
    /// A step is not finite; resuming would only repeat it.
    Failed(Error),
}

impl Run {
    /// A run that is ready for its next step.
    pub(super) fn new(setting: Setting, files: Option<Files>, loader: Loader, stop: &Stop, series: &RunSeries) -> Self {
        let Config { train_iters, train_log_every, .. } = setting.config;
        let series = RunSeries { silent: series.silent || files.is_none(), ..series.clone() };
        let progress = Progress::new(train_iters, train_log_every.max(train_iters / 60), series);
        let (clock, stop) = (Clock::default(), stop.clone());
        Run { setting, files, loader, progress, stop, clock, best: None, saved: None, scores: None }
    }

    /// Trains from step `start` on. `evaluated` is true if the evaluation that is due at that step is done.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the device, the disk or the data failed; the run can be resumed from its newest
    /// checkpoint.
    pub(super) fn train(mut self, start: usize, evaluated: bool) -> Result<TrainSummary> {
        // Before anything is printed: who reads that training begins may stop it.
        self.stop.listen()?;
        for notice in &self.setting.data.notices {
            self.progress.note(notice);
        }
        if self.setting.config.train_patience > 0 && self.setting.data.validation.is_none() {
            self.progress.note("train.patience has no effect, as the run is not scored");
        }
        for (part, option, begins) in self.setting.config.parts_beyond_the_run() {
            let steps = self.setting.config.train_iters;
            self.progress.note(&format!("{part} never begins: {option}={begins} is beyond the run of {steps} steps"));
        }
        self.progress.note(&self.setting.introduction());
        let end = self.steps(start, evaluated);
        self.progress.finish();
        let (done, stopped) = match end.map_err(|cause| self.safe(cause))? {
            End::Complete => (self.setting.config.train_iters, None),
            End::Patience(step) => {
                if let Some(Files { folder, .. }) = &self.files {
                    self.progress.note(&impatience(folder, &self.setting.config, step, self.best));
                }
                (step, None)
            }
            End::Stopped(step) => (step, Some(step)),
            End::Failed(error) => return Err(error),
        };
        Ok(TrainSummary {
            device: self.setting.session.name().to_owned(),
            classes: self.setting.classes().to_vec(),
            parameters: self.setting.trained_weights(),
            scores: self.scores,
            seconds_per_step: self.clock.total() / done.max(1) as f64,
            stopped,
        })
    }

    fn steps(&mut self, start: usize, evaluated: bool) -> Result<End> {
        let Config { train_iters, train_log_every, train_eval_every, train_save_every, .. } = self.setting.config;
        if !evaluated && !self.evaluate(start)? {
            return Ok(End::Stopped(start));
        }
        if self.is_out_of_patience(start)? {
            return Ok(End::Patience(start));
        }
        self.clock.resume();
        for n in start..train_iters {
            let batch = self.loader.next()?;
            self.setting.trainer.step(n, (&batch).into())?;
            self.setting.session.settle();
            let (done, stops) = (n + 1, self.world().any(self.stop.asked())?);
            let last = done == train_iters;
            let logs = done % train_log_every == 0 || last;
            let evaluates = done % train_eval_every == 0 || last;
            let saves = evaluates || done % train_save_every == 0 || stops;
            if logs || saves {
                let first = n / train_log_every * train_log_every;
                let values = self.setting.trainer.values(first..done)?;
                if let Some(offset) = values.iter().position(|values| !values.finite) {
                    return Ok(End::Failed(self.explain(first + offset)?));
                }
                if logs {
                    self.log(n, &values)?;
                }
            }
            if saves {
                self.setting.session.wait()?;
                self.clock.pause();
                self.save(done, !evaluates || self.setting.data.validation.is_none())?;
                if evaluates && !self.evaluate(done)? {
                    return Ok(End::Stopped(done));
                }
                if evaluates && !last && self.is_out_of_patience(done)? {
                    return Ok(End::Patience(done));
                }
                if stops && !last {
                    return Ok(End::Stopped(done));
                }
                self.clock.resume();
            }
        }
        Ok(End::Complete)
    }

    /// Saves step `n`, which is not finite, and reports why.
    fn explain(&self, n: usize) -> Result<Error> {
        let Some(Files { folder, .. }) = self.files.as_ref().filter(|_| !self.world().is_shared()) else {
            let reason = format!("step {n} is not finite");
            return Ok(Error::Graph(format!("{reason}; resume the run in one process, which finds the value")));
        };
        let Setting { trainer, config, data, .. } = &self.setting;
        let batch = self.setting.loader(self.setting.position(n))?.next()?;
        let sizes = [self.setting.classes().len(), data.images.max_tags()];
        failure::explain(&folder.failure(), trainer, n, &batch, config, sizes)
    }

    /// Records the means over the window of steps that ends with step `n`.
    fn log(&mut self, n: usize, values: &[StepValues]) -> Result<()> {
        let Setting { trainer, config, .. } = &self.setting;
        let seconds = self.clock.lap();
        let mut line = step_record(n, values, trainer.schedule().rate(1.0, n));
        line.images_per_second = (values.len() * config.batch_global) as f64 / seconds;
        self.progress.step(n + 1, &line.loss, line.images_per_second);
        let Some(Files { record, events, .. }) = &mut self.files else { return Ok(()) };
        if let Some(events) = events {
            events.step(&line)?;
        }
        record.write(line)
    }

    /// Whether `train.patience` ends the run after `step` steps. The first rank has seen all scores and decides.
    fn is_out_of_patience(&self, step: usize) -> Result<bool> {
        self.world().any(self.world().is_first() && is_out_of_patience(&self.setting.config, step, self.best))
    }

    /// The processes that train together.
    fn world(&self) -> &World {
        self.setting.session.world()
    }

    /// Saves a checkpoint after `done` steps. `evaluated` as in [`Run::train`].
    pub(super) fn save(&mut self, done: usize, evaluated: bool) -> Result<()> {
        self.setting.agree(done)?;
        let Some(files) = &mut self.files else { return Ok(()) };
        // The record must be on disk before the checkpoint that refers to it.
        if let Some(events) = &files.events {
            events.sync()?;
        }
        let bytes = files.record.sync()?;
        let Setting { config, device, data, session, trainer, .. } = &self.setting;
        let run = RunFacts {
            device: device.clone(),
            adapter: session.name().to_owned(),
            data: data.facts.clone(),
            sampler: self.setting.position(done),
            record: RecordFacts { bytes, seconds: self.clock.total() },
            evaluated,
            best: self.best,
            micro_batch: Some(trainer.micro_batch()),
            columns: trainer.columns().names(),
        };
        let mut checkpoint = Checkpoint::take(session, trainer.parameters(), done, config, self.setting.classes())?;
        checkpoint.training = Some(Training::take(session, trainer.parameters(), run)?);
        let checkpoints = files.folder.checkpoints();
        self.saved = Some((done, checkpoints.put(&checkpoint)?));
        if self.best.is_some_and(|best| best.step == done) {
            checkpoints.point(BEST, done)?;
        }
        checkpoints.prune(config.train_keep)
    }

    /// Scores the network on the validation set if there is one, records the scores, draws pictures and saves again:
    /// the earlier checkpoint keeps the steps, this one the evaluation. `false` if it was stopped before it was done.
    fn evaluate(&mut self, step: usize) -> Result<bool> {
        let Some(validation) = &self.setting.data.validation else { return Ok(true) };
        let model = self.setting.model();
        let mut gallery = Gallery::new(SHOWN);
        let scoring = Scoring::new(&model, validation, Protocol::Train, false)?.shown_in(&mut gallery);
        let mut scoring = scoring.dealt(self.world());
        while !self.stop.asked() && scoring.advance()? > 0 {}
        if self.world().any(self.stop.asked())? {
            return Ok(false);
        }
        let scores = scoring.together(self.world())?.scored().scores;
        // Nothing is better than a score of nothing.
        let seg_miou = scores.get(Scores::SEG).map(|seg| seg.miou).filter(|miou| !miou.is_nan()).unwrap_or(0.0);
        if let Some(Files { folder, record, events }) = &mut self.files {
            let line = EvalRecord { step, eval: scores.for_record() };
            let path = folder.pictures().join(format!("step_{step:07}.png"));
            let sheet = contact_sheet(&gallery.samples()?);
            if let Some(events) = events {
                events.evaluation(&line, &sheet)?;
            }
            record.write(line)?;
            sheet.write_png(&path)?;
        }
        self.progress.note(&format!("step {step}: {}; tags F1 {:.3}", scores.in_words(), scores.cls_f1));
        self.scores = Some(scores);
        if self.best.is_none_or(|best| seg_miou > best.seg_miou) {
            self.best = Some(Best { step, seg_miou });
        }
        self.save(step, true)?;
        Ok(true)
    }

    /// Adds how to resume to an error of the device, the disk or the data, but not of the training itself.
    fn safe(&self, cause: Error) -> Error {
        let outside =
            matches!(cause, Error::Device { .. } | Error::Memory { .. } | Error::Io { .. } | Error::Data { .. });
        match (&self.saved, &self.files) {
            (Some((step, checkpoint)), Some(files)) if outside => Error::Stopped {
                cause: Box::new(cause),
                step: *step,
                checkpoint: checkpoint.clone(),
                run: files.folder.path().to_owned(),
            },
            _ => cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shapes::{ShapesOptions, generate};

    /// Protects: if the device is lost during training, the run ends with an error that names the checkpoint and how to
    /// resume.
    #[test]
    fn a_run_whose_device_was_lost_can_be_resumed() {
        let place = tempfile::tempdir().unwrap();
        let (data, out) = (place.path().join("data"), place.path().join("run"));
        generate(&data, &ShapesOptions { train: 2, val: 1, size: 64, ..ShapesOptions::default() }).unwrap();
        let mut config = Config::preset("nano").unwrap();
        for assignment in ["train.iters=6", "batch.global=2", "train.crop=64", "ms.scales=[1]"] {
            config.set(assignment).unwrap();
        }
        let method = Methods::default().of(&config).unwrap();
        let data = TrainingData::open(&data, &config, &*method, false, &World::default()).unwrap();
        let setting = Setting::open(&config, &method, data, &"auto".into(), &World::default()).unwrap();
        let loader = setting.loader(setting.position(0)).unwrap();
        let session = setting.session.clone();
        let folder = RunFolder::create(&out, false).unwrap();
        let record = RecordWriter::append_to(folder.metrics()).unwrap();
        let files = Some(Files { folder, record, events: None });
        let mut run = Run::new(setting, files, loader, &Stop::default(), &RunSeries::default());
        run.save(0, true).unwrap();
        session.lose();
        let text = run.train(0, true).unwrap_err().to_string();
        for part in ["was lost", "step 0 is safe in", "step_0000000.safetensors", "`tagseg train --resume"] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
    }
}
