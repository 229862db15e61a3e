//! `tagseg ablate`: the ladder of the paper's ablation, one ordinary run after the other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::config::{Config, Rung};
use crate::engine::gpu::DeviceChoice;
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::method::Methods;
use crate::run::record::{Record, read_records};
use crate::run::report::{Ladder, LadderRun, RunSeries};
use crate::run::train::resume::is_finished;
use crate::run::train::setting::TrainingData;
use crate::run::train::{Resume, ResumeOptions, Stop, TrainOptions, TrainSummary, run};
use crate::run::weights::{Checkpoints, DataFacts};

/// What an ablation needs.
#[derive(Clone, Debug)]
pub struct AblateOptions {
    /// Validated configuration of the whole method.
    pub config: Config,
    /// The rungs to train.
    pub rungs: Vec<Rung>,
    /// A run for each of these on every rung.
    pub seeds: Vec<u64>,
    /// Data set with masks to score on.
    pub data: PathBuf,
    /// Folder of the runs, the table and the plots.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Requests an early stop.
    pub stop: Stop,
    /// Where the methods of the rungs are found.
    pub methods: Methods,
}

/// What an ablation made.
#[derive(Clone, Debug)]
pub struct AblateSummary {
    /// The finished runs.
    pub ladder: Ladder,
    /// Whether it was stopped on request; the same call resumes it.
    pub stopped: bool,
}

/// A run of the ladder.
struct Step {
    rung: Rung,
    seed: u64,
    config: Config,
    folder: PathBuf,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Fresh,
    Begun,
    Finished,
}

/// Trains every rung with every seed, and updates the table and the plots after each run. Finished runs in
/// `out` are not repeated; interrupted ones are resumed.
///
/// # Errors
/// Those of [`run`], checked for every run before the first begins; also if there is nothing to score on, or `out`
/// holds runs of another configuration or other data.
pub fn ablate(options: &AblateOptions) -> Result<AblateSummary> {
    let mut steps = steps(options)?;
    let iters = options.config.train_iters;
    let (runs, begun) = (steps.len(), Instant::now());
    let (mut trained, mut stopped) = (0, false);
    for index in 0..runs {
        if steps[index].state == State::Finished {
            continue;
        }
        let step = &steps[index];
        let to_come = steps[index + 1..].iter().filter(|step| step.state != State::Finished).count();
        let series = RunSeries {
            name: format!("run {} of {runs} ({}, seed {})", index + 1, step.rung.name(), step.seed),
            begun: Some(begun),
            steps_before: trained * iters,
            steps_after: to_come * iters,
            silent: false,
        };
        if train(step, options, series)?.stopped.is_some() {
            stopped = true;
            break;
        }
        steps[index].state = State::Finished;
        trained += 1;
        ladder(options, &steps)?.save(&options.out)?;
    }
    let ladder = ladder(options, &steps)?;
    if !ladder.runs.is_empty() {
        ladder.save(&options.out)?;
    }
    Ok(AblateSummary { ladder, stopped })
}

/// All runs with their configurations, checked, and how far each has come.
fn steps(options: &AblateOptions) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    // Seed by seed, so that an early table compares all rungs.
    for &seed in &options.seeds {
        for &rung in &options.rungs {
            let mut config = options.config.clone();
            rung.apply(&mut config)?;
            config.seed = seed;
            options.methods.check(&config)?;
            let folder = options.out.join(format!("{}-{seed}", rung.name()));
            steps.push(Step { rung, seed, config, folder, state: State::Fresh });
        }
    }
    let mut facts: Option<DataFacts> = None;
    for &rung in &options.rungs {
        let Some(step) = steps.iter().find(|step| step.rung == rung) else { continue };
        let method = options.methods.of(&step.config)?;
        // Only methods that learn from masks need more of the data than the others.
        if facts.is_none() || method.needs_masks() {
            let data = TrainingData::open(&options.data, &step.config, &*method, false, &World::default())?;
            if data.validation.is_none() {
                let remedy = "add ImageSets/Segmentation/val.txt and the masks of its images";
                return Err(Error::data(&options.data, "has no masks to score the rungs on", remedy));
            }
            facts = Some(data.facts);
        }
    }
    for step in &mut steps {
        step.state = state(&step.folder, &step.config, facts.as_ref())?;
    }
    Ok(steps)
}

/// How far the run in a folder has come.
fn state(folder: &Path, config: &Config, data: Option<&DataFacts>) -> Result<State> {
    let checkpoints = Checkpoints::of(folder);
    // A run that was killed before its first checkpoint starts over; one that cannot be read is not overwritten.
    if checkpoints.is_empty() {
        return Ok(State::Fresh);
    }
    let found = checkpoints.newest()?;
    let remedy = "choose another --out, or delete that folder";
    if let Some(option) = config.first_difference(&found.checkpoint.config) {
        let (theirs, ours) = (option.write(&found.checkpoint.config), option.write(config));
        let reason = format!("holds a run with {} = {theirs}, not {ours}", option.name);
        return Err(Error::data(folder, reason, remedy));
    }
    let Some(training) = &found.checkpoint.training else { return Ok(State::Fresh) };
    let same = |ours: &DataFacts| {
        let theirs = &training.run.data;
        (theirs.images, theirs.checksum) == (ours.images, ours.checksum)
    };
    if !data.is_none_or(same) {
        return Err(Error::data(folder, "holds a run on other data", remedy));
    }
    Ok(if is_finished(&found.checkpoint, training) { State::Finished } else { State::Begun })
}

/// Trains a run to its last step, from the start or from its newest checkpoint.
fn train(step: &Step, options: &AblateOptions, series: RunSeries) -> Result<TrainSummary> {
    let AblateOptions { data, device, stop, methods, .. } = options;
    if step.state == State::Begun {
        return Resume::open(&step.folder)?.run(&ResumeOptions {
            data: Some(data.clone()),
            device: device.clone(),
            stop: stop.clone(),
            series,
            methods: methods.clone(),
            ..ResumeOptions::default()
        });
    }
    run(&TrainOptions {
        config: step.config.clone(),
        data: data.clone(),
        out: step.folder.clone(),
        weights: None,
        partial: false,
        device: device.clone(),
        overwrite: true,
        skip_broken: false,
        stop: stop.clone(),
        series,
        methods: methods.clone(),
        world: World::default(),
    })
}

/// The finished runs, read from their folders.
fn ladder(options: &AblateOptions, steps: &[Step]) -> Result<Ladder> {
    let (mut runs, mut maps) = (Vec::new(), Vec::new());
    for step in steps {
        maps.extend(options.methods.of(&step.config)?.maps().iter().copied());
    }
    for step in steps.iter().filter(|step| step.state == State::Finished) {
        let records = read_records(step.folder.join("metrics.jsonl"))?;
        let evaluations = records.into_iter().filter_map(|record| match record {
            Record::Eval(record) => Some(record),
            Record::Step(_) => None,
        });
        runs.push(LadderRun { rung: step.rung, seed: step.seed, evaluations: evaluations.collect() });
    }
    let Config { train_iters, batch_global, train_crop, model_backbone, .. } = &options.config;
    let title = format!("{model_backbone}, {train_iters} steps of {batch_global} crops of {train_crop}²");
    Ok(Ladder { title, maps, runs })
}
