//! The training step on a device: compiled once per phase, replayed without waiting for it.

use std::sync::Arc;

use crate::config::{Config, Precision};
use crate::engine::gpu::{KernelTime, Plan};
use crate::engine::graph::{DType, Node, NodeId, Tensor};
use crate::engine::nn::{Parameter, Share};
use crate::engine::session::{Program, Session};
use crate::error::{Error, Result};
use crate::method::{Columns, FLAGS, Inputs, Method, Methods, Phase, Schedule, Sizes, Step, StepValues, moment_names};
use crate::parts::network::NetworkConfig;
use crate::parts::propagation::Slots;
use crate::run::weights::HISTORY;

/// Trains a network with a method, in a session.
pub struct Trainer {
    session: Session,
    method: Arc<dyn Method>,
    config: Config,
    network: NetworkConfig,
    schedule: Schedule,
    sizes: Sizes,
    /// The groups of a batch that this process computes.
    share: Share,
    drop: bool,
    window: usize,
    /// The number of the last step that was run.
    last: Option<usize>,
    current: Option<Compiled>,
    parameters: Vec<Parameter>,
    trained: Vec<Parameter>,
    /// The values of a step that are recorded.
    columns: Columns,
}

/// The program of a phase.
struct Compiled {
    phase: Phase,
    step: Step,
    row: Tensor,
    program: Program,
}

/// One batch of training images.
#[derive(Clone, Copy, Debug)]
pub struct StepBatch<'a> {
    /// Red, green and blue of the crops, \[B, S, S, 3\].
    pub images: &'a [u8],
    /// Multi-hot tags \[B, K\].
    pub tags: &'a [f32],
    /// Part of each crop without padding, \[B, 4\].
    pub boxes: &'a [i32],
    /// True masks \[B, S, S\] for a method that needs them.
    pub masks: &'a [i32],
}

#[cfg(feature = "native")]
impl<'a> From<&'a crate::data::Batch> for StepBatch<'a> {
    fn from(batch: &'a crate::data::Batch) -> Self {
        StepBatch { images: &batch.images, tags: &batch.tags, boxes: &batch.boxes, masks: &batch.masks }
    }
}

impl Trainer {
    /// A trainer with the built-in method that the configuration names; see [`Trainer::with_method`].
    ///
    /// # Errors
    /// If there is no such method, the crop is too small for the network, or the window is 0.
    pub fn new(
        session: &Session,
        config: &Config,
        network: &NetworkConfig,
        max_tags: usize,
        window: usize,
    ) -> Result<Self> {
        Trainer::with_method(session, &Methods::default().of(config)?, config, network, max_tags, window)
    }

    /// A trainer with `method` for images with up to `max_tags` tags. Parameters are initialised from the
    /// configuration's seed. The values of the last `window` steps can be read back.
    ///
    /// # Errors
    /// If the crop is too small for the network, or the window is 0.
    pub fn with_method(
        session: &Session,
        method: &Arc<dyn Method>,
        config: &Config,
        network: &NetworkConfig,
        max_tags: usize,
        window: usize,
    ) -> Result<Self> {
        if window == 0 {
            return Err(Error::Graph("a window of 0 steps keeps no values; choose 1 or more".into()));
        }
        let crop = [config.train_crop; 2];
        let world = session.world();
        let (ranks, rank) = (config.batch_ranks, world.rank());
        let share = match world.size() {
            1 => Share::whole(ranks),
            size if size == ranks => Share { ranks, here: rank..rank + 1 },
            size => {
                let reason = format!("is {ranks}, but there are {size} processes");
                return Err(Error::config("batch.ranks", reason, "start as many processes, or one"));
            }
        };
        let batch = config.batch_global / world.size();
        let sizes = Sizes { batch, crop, slots: Slots::width_for(max_tags) };
        let mut trainer = Trainer {
            session: session.clone(),
            method: method.clone(),
            config: config.clone(),
            network: network.clone(),
            schedule: Schedule::new(method, config, &network.encoder),
            sizes,
            share,
            drop: true,
            window,
            last: None,
            current: None,
            parameters: Vec::new(),
            trained: Vec::new(),
            columns: Columns::default(),
        };
        let first = trainer.record(&trainer.schedule.phase(0))?;
        trainer.parameters = first.parameters.clone();
        trainer.trained = first.trained()?;
        trainer.columns = first.columns();
        for parameter in &trainer.parameters {
            trainer.session.set_state(&parameter.name, &parameter.shape, &parameter.initial(config.seed))?;
        }
        for parameter in &trainer.trained {
            let zeros = vec![0.0; parameter.shape.len()];
            for name in moment_names(&parameter.name) {
                trainer.session.set_state(&name, &parameter.shape, &zeros)?;
            }
        }
        let flags = trainer.trained.len() + 1;
        trainer.session.set_state(FLAGS, &[flags], &vec![0.0; flags])?;
        let width = trainer.columns.count();
        trainer.session.set_state(HISTORY, &[window, width], &vec![0.0; window * width])?;
        Ok(trainer)
    }

    /// Switches dropout and drop path off, for comparisons with other implementations.
    pub fn without_dropout(mut self) -> Self {
        self.drop = false;
        self
    }

    fn record(&self, phase: &Phase) -> Result<Step> {
        let share = self.share.clone();
        Step::record_share(&self.method, &self.config, &self.network, phase, self.sizes, self.drop, share)
    }

    /// The method.
    pub fn method(&self) -> &Arc<dyn Method> {
        &self.method
    }

    /// The names of the values that are recorded for each step.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Parameters and running statistics of the network.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The session that holds them.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The schedule of the run.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The compiled program of the last step.
    pub fn program(&self) -> Option<&Program> {
        self.current.as_ref().map(|current| &current.program)
    }

    /// A step with its updates, and the input that holds the row of the history it writes.
    fn record_step(&self, phase: &Phase) -> Result<(Step, Tensor)> {
        let step = self.record(phase)?;
        if step.columns() != self.columns {
            let (method, now, first) = (self.method.name(), step.columns().names(), self.columns.names());
            let reason = format!("method `{method}` has the losses {now:?} in {phase:?} but {first:?} before");
            return Err(Error::Graph(format!(
                "{reason}; return all of them in every phase, switched off where they do not apply"
            )));
        }
        let finite = step.update()?;
        if let Some(bytes) = self.config.train_memory.0 {
            step.graph.limit_memory(bytes);
        }
        let row = step.graph.input("row", [1], DType::I32);
        let values = step.record_values(&finite)?;
        step.graph.state(HISTORY, [self.window, self.columns.count()]).write_row(&values, &row)?;
        Ok((step, row))
    }

    /// Plans the programs of all phases without preparing them, so that a plan that does not fit is an error before the
    /// first step. If `batch.micro` is 0 and the whole batch does not fit, uses the largest micro-batch that does.
    /// Returns the plan that needs the most memory; `None` for the interpreter, which does not plan.
    ///
    /// # Errors
    /// If a plan does not fit the device, with its bytes.
    pub fn check(&mut self) -> Result<Option<Plan>> {
        let mut plan = self.plan_all();
        if self.config.batch_micro == 0 {
            let (group, smallest) = (self.group(), self.smallest_part());
            for images in (1..group).rev().filter(|images| group % images == 0 && images % smallest == 0) {
                if !matches!(plan, Err(Error::Memory { .. })) {
                    break;
                }
                self.config.batch_micro = images;
                plan = self.plan_all();
            }
            // All ranks use the micro-batch of the one with the least memory.
            let world = self.session.world();
            if world.is_shared() && plan.is_ok() {
                let own = self.micro_batch();
                let least = world.numbers(own as u64)?.into_iter().fold(own, |least, other| least.min(other as usize));
                if least < own {
                    self.config.batch_micro = least;
                    plan = self.plan_all();
                }
            }
        }
        plan.map_err(|error| self.with_options(error))
    }

    /// Images of a rank.
    fn group(&self) -> usize {
        self.config.batch_global / self.config.batch_ranks
    }

    /// Images that are normalised together: the smallest possible micro-batch.
    fn smallest_part(&self) -> usize {
        self.config.loss_replica_size.min(self.group())
    }

    /// Adds the options that save memory and are not in use to the remedies of an error about memory.
    fn with_options(&self, error: Error) -> Error {
        let Error::Memory { mut reason, mut remedy } = error else { return error };
        let (part, smallest) = (self.micro_batch(), self.smallest_part());
        if part < self.group() {
            reason = format!("{reason}, with a micro-batch of {part}");
        }
        let smaller = (part > smallest).then(|| format!("batch.micro={smallest}"));
        let mixed = (self.config.train_precision == Precision::F32).then(|| "train.precision=mixed".to_owned());
        let options: Vec<_> = smaller.into_iter().chain(mixed).collect();
        if !options.is_empty() {
            remedy = format!("set {}, or {remedy}", options.join(" or "));
        }
        Error::Memory { reason, remedy }
    }

    /// Number of images whose gradients are computed together.
    pub fn micro_batch(&self) -> usize {
        match self.config.batch_micro {
            0 => self.group(),
            images => images.min(self.group()),
        }
    }

    fn plan_all(&self) -> Result<Option<Plan>> {
        let mut largest: Option<Plan> = None;
        for phase in self.schedule.phases() {
            let plan = self.session.plan(&self.record_step(&phase)?.0.graph, &[])?;
            largest = largest.into_iter().chain(plan).max_by_key(Plan::bytes);
        }
        Ok(largest)
    }

    /// Prepares the program of step `n` if its phase differs from the previous one.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn prepare(&mut self, n: usize) -> Result<()> {
        let phase = self.schedule.phase(n);
        if self.current.as_ref().is_some_and(|current| current.phase == phase) {
            return Ok(());
        }
        // The old program's buffers are freed before the new one's are made.
        self.current = None;
        let (step, row) = self.record_step(&phase)?;
        let program = self.session.compile(&step.graph, &[]).map_err(|error| self.with_options(error))?;
        self.current = Some(Compiled { phase, step, row, program });
        Ok(())
    }

    /// The images of each batch that this process computes.
    #[cfg(feature = "native")]
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        let first = self.session.world().rank() * self.sizes.batch;
        first..first + self.sizes.batch
    }

    /// Runs step `n` on a batch, or on the [share](Share) of this process.
    ///
    /// # Errors
    /// If the size of the batch differs, or the device was lost.
    pub fn step(&mut self, n: usize, batch: StepBatch<'_>) -> Result<()> {
        self.prepare(n)?;
        let Some(mut current) = self.current.take() else { unreachable!("prepare compiled a program") };
        self.write(&mut current.program, &current.step.inputs, n, batch)?;
        current.program.write(&current.row, &[(n % self.window) as i32])?;
        current.program.run()?;
        self.current = Some(current);
        self.last = Some(n);
        Ok(())
    }

    fn write(&self, program: &mut Program, inputs: &Inputs, n: usize, batch: StepBatch<'_>) -> Result<()> {
        let slots = Slots::new(batch.tags, self.network.classes - 1, self.sizes.slots);
        let seed = self.config.seed;
        program.write(&inputs.images.input, batch.images)?;
        program.write(&inputs.tags, batch.tags)?;
        program.write(&inputs.classes, &slots.classes)?;
        program.write(&inputs.boxes, batch.boxes)?;
        if self.method.needs_masks() {
            program.write(&inputs.masks, batch.masks)?;
        }
        program.write(&inputs.random, &[seed as i32, (seed >> 32) as i32, n as i32])?;
        program.write(&inputs.hyper, &self.schedule.hypers(n))
    }

    /// The first value of step `n` on a batch that is not finite: a parameter, or the op that computed it from finite
    /// inputs.
    ///
    /// # Errors
    /// If the size of the batch differs, or the device was lost.
    #[cfg(feature = "native")]
    pub fn diagnose(&self, n: usize, batch: StepBatch<'_>) -> Result<Option<String>> {
        pollster::block_on(self.diagnose_async(n, batch))
    }

    /// As `diagnose`, without blocking.
    ///
    /// # Errors
    /// If the size of the batch differs, or the device was lost.
    pub async fn diagnose_async(&self, n: usize, batch: StepBatch<'_>) -> Result<Option<String>> {
        // The passes move running statistics: those of a copy.
        let mut copy = self.session.fresh();
        let mut moving = Vec::new();
        for parameter in &self.parameters {
            let (shape, values) = self.session.state_async(&parameter.name).await?;
            if values.iter().any(|value| !value.is_finite()) {
                return Ok(Some(format!("parameter `{}`", parameter.name)));
            }
            let values: Vec<_> = values.into_iter().map(|value| value as f32).collect();
            copy.set_state(&parameter.name, &shape, &values)?;
            if !self.trained.iter().any(|trained| trained.name == parameter.name) {
                moving.push((&parameter.name, shape, values));
            }
        }
        let step = self.record(&self.schedule.phase(n))?;
        let graph = &step.graph;
        let mut ends: Vec<_> = step.gradients(&self.trained)?.iter().map(Tensor::id).collect();
        ends.push(step.total.id());
        let live = graph.live(&ends);
        let nodes = graph.nodes();
        let computed = |node: &Node| node.ty.dtype == DType::F32 && node.op().is_some_and(|op| op.mutates().is_empty());
        let ids: Vec<_> = (0..nodes.len()).filter(|&id| live[id] && computed(&nodes[id])).map(NodeId).collect();
        // Only a few values at a time are read; all of them together may not fit the device.
        for part in ids.chunks(64) {
            let outputs: Vec<_> = part.iter().map(|&id| graph.tensor(id)).collect();
            for (name, shape, values) in &moving {
                copy.set_state(name, shape, values)?;
            }
            let mut program = copy.compile(graph, &outputs.iter().collect::<Vec<_>>())?;
            self.write(&mut program, &step.inputs, n, batch)?;
            program.run()?;
            for output in &outputs {
                if program.read_async(output).await?.iter().any(|value| !value.is_finite()) {
                    let node = &nodes[output.id().0];
                    let name = node.op().map_or("", |op| op.name());
                    return Ok(Some(format!("op `{name}` with result {:?}, recorded at {}", node.ty, node.at)));
                }
            }
        }
        Ok(None)
    }

    /// Repeats the last step with a timestamp after every dispatch.
    ///
    /// # Errors
    /// If no step was run, the adapter has no timestamps, or the device was lost.
    #[cfg(feature = "native")]
    pub fn profile(&mut self) -> Result<Vec<KernelTime>> {
        pollster::block_on(self.profile_async())
    }

    /// As `profile`, without blocking.
    ///
    /// # Errors
    /// If no step was run, the adapter has no timestamps, or the device was lost.
    pub async fn profile_async(&mut self) -> Result<Vec<KernelTime>> {
        match &mut self.current {
            Some(current) => current.program.profile_async().await,
            None => Err(Error::Graph("a step must run before it can be profiled".into())),
        }
    }

    /// Values of the steps `first..end`, which must be among the last `window`; waits for the device.
    ///
    /// # Errors
    /// If they are not, or the device was lost.
    #[cfg(feature = "native")]
    pub fn values(&self, steps: std::ops::Range<usize>) -> Result<Vec<StepValues>> {
        pollster::block_on(self.values_async(steps))
    }

    /// As `values`, without blocking.
    ///
    /// # Errors
    /// As `values`.
    pub async fn values_async(&self, steps: std::ops::Range<usize>) -> Result<Vec<StepValues>> {
        // After a resume, the steps before it are in the window, too.
        let end = self.last.map_or(steps.end, |last| last + 1);
        if steps.start + self.window < end || steps.end > end || steps.len() > self.window {
            let window = self.window;
            return Err(Error::Graph(format!("steps {steps:?} are not among the last {window}, which are kept")));
        }
        let (_, history) = self.session.state_async(HISTORY).await?;
        let width = self.columns.count();
        let rows: Vec<_> = history.chunks(width).collect();
        Ok(steps.map(|n| self.columns.read(rows[n % self.window])).collect())
    }
}
