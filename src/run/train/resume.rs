//! `tagseg train --resume RUN`: resumes a run, bit-identically.

use std::path::{Path, PathBuf};

use super::clock::Clock;
use super::folder::RunFolder;
use super::run::{Files, Run, TrainSummary, impatience, is_out_of_patience, of_world};
use super::setting::{Setting, TrainingData};
use super::stop::Stop;
use crate::config::Config;
use crate::engine::gpu::DeviceChoice;
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::formats::durable::write_atomically;
use crate::method::{Method, Methods};
use crate::run::record::{EventWriter, RecordWriter, read_records};
use crate::run::report::RunSeries;
use crate::run::weights::{Checkpoint, DataFacts, Found, RunFacts, Training};

/// Options for resuming a run; all else comes from its checkpoint.
#[derive(Clone, Debug, Default)]
pub struct ResumeOptions {
    /// The expected configuration; it is an error if the run's differs.
    pub config: Option<Config>,
    /// The data set's current folder, if it was moved.
    pub data: Option<PathBuf>,
    /// Where to compute; fields that are not set are as before.
    pub device: DeviceChoice,
    /// Whether images that do not decode are expected to be skipped; it is an error if the run was started without
    /// that.
    pub skip_broken: bool,
    /// Requests an early stop.
    pub stop: Stop,
    /// Its position in a series of runs.
    pub series: RunSeries,
    /// Where the method of the run is found.
    pub methods: Methods,
    /// The processes that train together; this one alone by default.
    pub world: World,
}

/// A run about to be resumed from its newest checkpoint. Its folder stays locked as long as this value lives.
#[derive(Debug)]
pub struct Resume {
    folder: RunFolder,
    found: Found,
    training: Training,
}

impl Resume {
    /// Opens a run's folder and its newest intact checkpoint.
    ///
    /// # Errors
    /// If there is none, or another process is training there.
    pub fn open(run: &Path) -> Result<Self> {
        Self::open_in(run, &World::default())
    }

    /// The same for one of several processes: the first locks the folder.
    ///
    /// # Errors
    /// As [`Resume::open`].
    pub fn open_in(run: &Path, world: &World) -> Result<Self> {
        let folder = if world.is_first() { RunFolder::open(run)? } else { RunFolder::read(run)? };
        let mut found = folder.checkpoints().newest()?;
        let training = found.checkpoint.training.take().ok_or_else(|| {
            Error::data(&found.path, "has no training state", "start a new run with `tagseg train --out RUN`")
        })?;
        Ok(Resume { folder, found, training })
    }

    /// The configuration of the run.
    pub fn config(&self) -> &Config {
        &self.found.checkpoint.config
    }

    /// Trains to the last step of the run's configuration.
    ///
    /// # Errors
    /// Those of [`super::run`]; also if the data or the configuration has changed.
    pub fn run(self, options: &ResumeOptions) -> Result<TrainSummary> {
        let Resume { folder, mut found, mut training } = self;
        let world = &options.world;
        let method = options.methods.of(&found.checkpoint.config)?;
        check_config(&mut found.checkpoint.config, options, &folder)?;
        world.limit_waits(found.checkpoint.config.train_rank_timeout as u64);
        let steps = world.numbers(found.checkpoint.step as u64)?;
        if let Some(rank) = steps.iter().position(|step| *step != steps[0]) {
            let reason = format!("rank {rank} finds step {} here, but rank 0 step {}", steps[rank], steps[0]);
            return Err(Error::data(folder.path(), reason, "give all ranks the same folder at the same path"));
        }
        let ranks_before = found.checkpoint.config.batch_ranks;
        if world.is_shared() {
            found.checkpoint.config = of_other_world(&found.checkpoint.config, world)?;
        }
        let checkpoint = &found.checkpoint;
        if is_finished(checkpoint, &training) {
            let facts = &training.run;
            if world.is_first() {
                bring_back(&folder, &found, facts)?;
                found.notices().for_each(|notice| eprintln!("{notice}"));
                if checkpoint.step < checkpoint.config.train_iters {
                    eprintln!("{}", impatience(&folder, &checkpoint.config, checkpoint.step, facts.best));
                } else {
                    eprintln!("{}", farewell(&folder, &found));
                }
            }
            return Ok(TrainSummary {
                device: facts.adapter.clone(),
                classes: checkpoint.classes.clone(),
                parameters: 0,
                scores: None,
                seconds_per_step: facts.record.seconds / checkpoint.step as f64,
                stopped: None,
            });
        }
        if options.skip_broken && !training.run.data.skip_broken {
            return Err(Error::config("--skip-broken", "was not given when this run was started", "omit it"));
        }
        let data = open_data(options.data.as_deref(), &training.run.data, &checkpoint.config, &*method, world)?;
        if data.images.classes() != checkpoint.classes {
            return Err(other_data(data.images.root(), "its classes differ from those of this run"));
        }
        let before = training.run.device.clone().for_processes(world.local_size());
        let device = options.device.clone().over(&before);
        let mut setting = Setting::open(&checkpoint.config, &method, data, &device, world)?;
        training.align(&setting.trainer.columns().names());
        let facts = &training.run;
        let misfit = |error: Error| {
            let remedy = "give a run that this version of `tagseg train` started";
            Error::data(&found.path, error.to_string(), remedy)
        };
        let parameters = setting.trainer.parameters();
        checkpoint.put(&mut setting.session.clone(), parameters).map_err(misfit)?;
        training.put(&mut setting.session.clone(), parameters).map_err(misfit)?;
        // Also waits until all ranks have read the checkpoint.
        setting.agree(checkpoint.step)?;
        let loader = setting.loader(facts.sampler)?;
        setting.prepare(checkpoint.step)?;

        let files = match world.is_first() {
            true => {
                let record = bring_back(&folder, &found, facts)?;
                let events = match setting.config.train_tensorboard {
                    true => {
                        let kept = read_records(folder.metrics())?;
                        Some(EventWriter::continue_with(folder.path(), setting.classes(), &kept)?)
                    }
                    false => None,
                };
                tell(&found, facts, &setting, ranks_before);
                Some(Files { folder, record, events })
            }
            false => None,
        };
        let mut run = Run::new(setting, files, loader, &options.stop, &options.series);
        run.clock = Clock::at(facts.record.seconds);
        run.best = facts.best;
        run.saved = Some((checkpoint.step, found.path.clone()));
        run.train(checkpoint.step, facts.evaluated)
    }
}

/// Says where a run is resumed, and what is different from before.
fn tell(found: &Found, facts: &RunFacts, setting: &Setting, ranks_before: usize) {
    let checkpoint = &found.checkpoint;
    found.notices().for_each(|notice| eprintln!("{notice}"));
    eprintln!("resumed at step {} of {}: {}", checkpoint.step, checkpoint.config.train_iters, found.path.display());
    if facts.adapter != setting.session.name() {
        let (before, now) = (&facts.adapter, setting.session.name());
        eprintln!("the run used {before} so far and now uses {now}; results will not be bit-identical");
    } else if facts.device.kernels.is_some() && facts.device.kernels != setting.session.kernels() {
        eprintln!("kernel choices differ from those of the run; results will not be bit-identical");
    }
    let (micro, ranks) = (setting.trainer.micro_batch(), checkpoint.config.batch_ranks);
    if let Some(before) = facts.micro_batch.filter(|before| *before != micro && ranks == ranks_before) {
        eprintln!("the micro-batch was {before} so far and now is {micro}; results will not be bit-identical");
    }
    if ranks != ranks_before {
        eprintln!("batch.ranks was {ranks_before} so far and now is {ranks}; results will not be bit-identical");
    }
}

/// The configuration of a run for processes that may be of another number than before.
fn of_other_world(config: &Config, world: &World) -> Result<Config> {
    let mut config = config.clone();
    config.batch_ranks = world.size();
    of_world(&config, world)
}

/// Whether the run of a checkpoint is finished: its last step is done and, if there are masks to score on, scored; or
/// `train.patience` has ended it.
pub(in crate::run) fn is_finished(checkpoint: &Checkpoint, training: &Training) -> bool {
    let RunFacts { evaluated, best, .. } = training.run;
    evaluated
        && (checkpoint.step == checkpoint.config.train_iters
            || is_out_of_patience(&checkpoint.config, checkpoint.step, best))
}

/// The message for a finished run. Its schedule has ended, so more steps need a new run.
fn farewell(folder: &RunFolder, found: &Found) -> String {
    let (run, step, network) = (folder.path().display(), found.checkpoint.step, found.path.display());
    format!(
        "{run}: finished at step {step}; the network is {network}, scores and losses are in {}; \
         to train longer, start another run with `tagseg train --weights {run}`",
        folder.metrics().display()
    )
}

/// After all checks: restores the folder to the state at the checkpoint, and opens its record.
fn bring_back(folder: &RunFolder, found: &Found, facts: &RunFacts) -> Result<RecordWriter> {
    let (checkpoints, checkpoint) = (folder.checkpoints(), &found.checkpoint);
    for (path, _) in &found.damaged {
        checkpoints.set_aside(path)?;
    }
    checkpoints.restore(checkpoint.step, facts.best.map(|best| best.step))?;
    write_atomically(&folder.config(), checkpoint.config.to_toml().as_bytes())?;
    RecordWriter::continue_at(folder.metrics(), facts.record.bytes)
}

/// Refuses a changed configuration, on the command line or in `config.toml`: a schedule cannot change during a run. Only
/// `train.rank_timeout`, which may be why the run ended, is taken over.
fn check_config(own: &mut Config, options: &ResumeOptions, folder: &RunFolder) -> Result<()> {
    let path = folder.config();
    let mut written = own.clone();
    if path.is_file() {
        written.load_file(&path)?;
        // Another number of processes may have resumed the run and saved nothing yet.
        written.batch_ranks = own.batch_ranks;
    }
    let wishes = [(Some(&written), "in config.toml"), (options.config.as_ref(), "on the command line")];
    let before = own.train_rank_timeout;
    for (wish, who) in wishes.into_iter().filter_map(|(wish, who)| Some((wish?, who))) {
        let mut expected = own.clone();
        expected.train_rank_timeout = wish.train_rank_timeout;
        if let Some(option) = expected.first_difference(wish) {
            let reason = format!("is {} in this run, but {} {who}", option.write(&expected), option.write(wish));
            return Err(Error::config(option.name, reason, "undo the change, or start a new run with --out"));
        }
        if wish.train_rank_timeout != before {
            own.train_rank_timeout = wish.train_rank_timeout;
        }
    }
    Ok(())
}

/// The data set of the run, at its original or its new location.
fn open_data(
    moved: Option<&Path>,
    facts: &DataFacts,
    config: &Config,
    method: &dyn Method,
    world: &World,
) -> Result<TrainingData> {
    let root = moved.unwrap_or(Path::new(&facts.folder));
    if moved.is_none() && !root.exists() {
        return Err(Error::data(root, "the data set is missing", "give its new folder with --data"));
    }
    let data = TrainingData::open(root, config, method, facts.skip_broken, world)?;
    if data.facts.images != facts.images {
        let reason = format!("has {} training images, this run had {}", data.facts.images, facts.images);
        return Err(other_data(root, &reason));
    }
    if data.facts.checksum != facts.checksum {
        return Err(other_data(root, "its ids or tags differ from those of this run"));
    }
    if facts.files.is_some() && data.facts.files != facts.files {
        return Err(other_data(root, "its image files differ from those of this run"));
    }
    Ok(data)
}

fn other_data(root: &Path, reason: &str) -> Error {
    Error::data(root, reason, "give the data set that the run was started with, or start a new run with --out")
}
