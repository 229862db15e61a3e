//! The data, device and network of a run, opened and checked before anything is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trainer::Trainer;
use crate::config::Config;
use crate::data::{AugmentOptions, Dataset, Loader, LoaderOptions, SplitOptions, Splits};
use crate::engine::gpu::{Device, DeviceChoice, mebibytes};
use crate::engine::kernel::{Kernels, Registers};
use crate::engine::probe::paced;
use crate::engine::ranks::World;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::method::{Method, Protocol};
use crate::parts::network::NetworkConfig;
use crate::run::device;
use crate::run::eval::{Model, Scoring};
use crate::run::report::FileBar;
use crate::run::weights::{DataFacts, SamplerPosition};

/// A training set, with the validation split if there is one.
pub(in crate::run) struct TrainingData {
    /// The training split.
    pub(super) images: Arc<Dataset>,
    /// The images of split `val` that have masks, if there are any.
    pub(in crate::run) validation: Option<Dataset>,
    /// Notices about both splits, one line each.
    pub(super) notices: Vec<String>,
    /// What identifies it.
    pub(in crate::run) facts: DataFacts,
    /// The same of what ranks must have in common besides: the images that are scored, and masks.
    scored: [Option<u32>; 4],
}

impl TrainingData {
    /// Opens a data set and decodes every file that a run with `method` needs once.
    pub(in crate::run) fn open(
        root: &Path,
        config: &Config,
        method: &dyn Method,
        skip_broken: bool,
        world: &World,
    ) -> Result<Self> {
        let options = SplitOptions::new(config, skip_broken, method.needs_masks());
        let bar = if world.is_first() { FileBar::new() } else { FileBar::hidden() };
        let Splits { train: images, val } = Splits::open(root, options, &bar, &mut Err)?;
        let mut notices = images.notices.clone();
        let validation = val.and_then(|val| scorable(val, &mut notices));
        // A run may be resumed from another folder than it was started in.
        let folder = std::path::absolute(root).map_err(Error::io(root))?.to_string_lossy().into_owned();
        let facts = DataFacts {
            folder,
            skip_broken,
            images: images.len(),
            checksum: checksum(&images),
            files: lengths(image_paths(&images)),
        };
        let scored = match (world.is_shared(), &validation) {
            (false, _) => [None; 4],
            (true, val) => [
                val.as_ref().map(checksum),
                val.as_ref().and_then(|val| lengths(image_paths(val))),
                val.as_ref().and_then(|val| lengths(mask_paths(val))),
                lengths(mask_paths(&images)).filter(|_| method.needs_masks()),
            ],
        };
        Ok(TrainingData { images: Arc::new(images), validation, notices, facts, scored })
    }
}

/// The images of the validation split that have masks, if there are any. `notices` receives those about the split that
/// it does not hold yet.
fn scorable(mut val: Dataset, notices: &mut Vec<String>) -> Option<Dataset> {
    let kept = val.keep_masked();
    let unscored = kept.as_ref().err().map(|error| format!("the run is not scored: {}", error.what()));
    let news = val.notices.iter().cloned().chain(unscored).filter(|notice| !notices.contains(notice));
    let news: Vec<_> = news.map(|notice| format!("{}: {notice}", val.split())).collect();
    notices.extend(news);
    kept.is_ok().then_some(val)
}

/// CRC-32 of the ids with their tags, in order: everything that training uses of a data set besides the pixels.
fn checksum(dataset: &Dataset) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (index, id) in dataset.ids().iter().enumerate() {
        hasher.update(id.as_bytes());
        hasher.update(&[0]);
        hasher.update(bytemuck::cast_slice(dataset.tags(index)));
    }
    hasher.finalize()
}

/// CRC-32 of the lengths of files, in order: pictures that are replaced under a paused run differ in it. Those of
/// formats without compression may not, so that their bytes count.
fn lengths(paths: impl Iterator<Item = PathBuf>) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    for path in paths {
        hasher.update(&path.metadata().ok()?.len().to_le_bytes());
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ["bmp", "tif", "tiff", "npy"].iter().any(|plain| ending == *plain) {
            hasher.update(&std::fs::read(path).ok()?);
        }
    }
    Some(hasher.finalize())
}

/// The image files of a data set.
fn image_paths(dataset: &Dataset) -> impl Iterator<Item = PathBuf> {
    (0..dataset.len()).map(|index| dataset.image_path(index).to_owned())
}

/// The mask files of a data set.
fn mask_paths(dataset: &Dataset) -> impl Iterator<Item = PathBuf> {
    (0..dataset.len()).filter_map(|index| dataset.mask_path(index))
}

/// The data, device and network of a run.
pub(super) struct Setting {
    /// Validated configuration.
    pub(super) config: Config,
    /// The device as requested.
    pub(super) device: DeviceChoice,
    /// The training data.
    pub(super) data: TrainingData,
    /// Shape of the network.
    pub(super) network: NetworkConfig,
    /// The session of the device.
    pub(super) session: Session,
    /// The training step.
    pub(super) trainer: Trainer,
}

impl Setting {
    /// Opens the device and makes a trainer for the data.
    pub(super) fn open(
        config: &Config,
        method: &Arc<dyn Method>,
        data: TrainingData,
        device: &DeviceChoice,
        world: &World,
    ) -> Result<Self> {
        let session = paced(device::open_for(device, world)?)?;
        let network = NetworkConfig::new(config, data.images.classes().len())?;
        let (max_tags, window) = (data.images.max_tags(), config.train_log_every);
        let trainer = Trainer::with_method(&session, method, config, &network, max_tags, window)?;
        // A resumed run keeps the kernel choices that it was started with, even if the table has changed.
        let device = device.clone().kernels(session.kernels());
        Ok(Setting { config: config.clone(), device, data, network, session, trainer })
    }

    /// Compares the ranks after `done` steps: version, options, data, kernels, and the bits of all states, which
    /// nothing else would reveal.
    ///
    /// # Errors
    /// [`Error::Graph`] with the first rank that differs from rank 0.
    pub(super) fn agree(&self, done: usize) -> Result<()> {
        let Setting { config, data, session, .. } = self;
        let world = session.world();
        if !world.is_shared() {
            return Ok(());
        }
        let TrainingData { facts: DataFacts { images, checksum, files, .. }, scored, .. } = data;
        let names = session.state_names();
        let states = session.states(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let mut hasher = crc32fast::Hasher::new();
        states.iter().for_each(|(_, values)| hasher.update(bytemuck::cast_slice(values)));
        let crc = |text: String| crc32fast::hash(text.as_bytes());
        // Loops that are unrolled add in the same order.
        let kernels = session.device().map(|device| Kernels { registers: Registers::Few, ..device.target().kernels });
        let facts = [
            ("another version of tagseg", crc(env!("CARGO_PKG_VERSION").to_owned())),
            ("other options", crc(config.to_toml())),
            ("another data set", crc(format!("{:?}", (images, checksum, files)))),
            ("another validation set or other masks", crc(format!("{scored:?}"))),
            ("other kernels", crc(format!("{kernels:?}"))),
            ("another micro-batch", self.trainer.micro_batch() as u32),
            ("other weights", hasher.finalize()),
        ];
        let adapter = session.device().map_or("reference", Device::driver);
        let adapters = world.numbers(crc(adapter.to_owned()).into())?;
        let own: Vec<u8> = facts.iter().flat_map(|(_, fact)| fact.to_le_bytes()).collect();
        let all = world.all_gather(&own)?;
        let all: Vec<_> = all.chunks(own.len()).collect();
        for (rank, other) in all.iter().enumerate() {
            let differing = facts.iter().zip(other.chunks(4).zip(all[0].chunks(4))).find(|(_, (one, two))| one != two);
            if let Some(((what, _), _)) = differing {
                let remedy = match adapters[rank] == adapters[0] {
                    true => "give all ranks the same program, options and data, or resume from the newest checkpoint",
                    false => "their adapters or drivers differ, and may round differently: use the same for all ranks",
                };
                return Err(Error::Graph(format!("rank {rank} has {what} than rank 0 at step {done}; {remedy}")));
            }
        }
        Ok(())
    }

    /// Names of the foreground classes.
    pub(super) fn classes(&self) -> &[String] {
        self.data.images.classes()
    }

    /// The network in the session, for evaluation.
    pub(super) fn model(&self) -> Model {
        Model::new(&self.session, &self.config, &self.network, self.trainer.method(), self.classes())
    }

    /// Checks that training and scoring fit the device, and prepares step `start`.
    pub(super) fn prepare(&mut self, start: usize) -> Result<()> {
        self.trainer.check()?;
        if let Some(validation) = &self.data.validation {
            Scoring::new(&self.model(), validation, Protocol::Train, false)?.check()?;
        }
        self.trainer.prepare(start)
    }

    /// The batches from a position onwards.
    pub(super) fn loader(&self, start: SamplerPosition) -> Result<Loader> {
        let config = &self.config;
        let options = LoaderOptions {
            batch: config.batch_global,
            rows: Some(self.trainer.rows()),
            crop: config.train_crop,
            seed: config.seed,
            start_step: start.epoch * self.steps_per_epoch() + start.batch,
            augment: AugmentOptions {
                long_side: config.data_long_side,
                scale: (config.data_scale[0], config.data_scale[1]),
                flip: config.data_flip,
            },
            balance: config.data_balance,
            masks: self.trainer.method().needs_masks(),
            ..LoaderOptions::default()
        };
        Loader::new(self.data.images.clone(), options)
    }

    /// The position after `done` steps.
    pub(super) fn position(&self, done: usize) -> SamplerPosition {
        let (done, epoch) = (done as u64, self.steps_per_epoch());
        SamplerPosition { epoch: done / epoch, batch: done % epoch }
    }

    /// At least 1: the loader reports data that do not fill a batch.
    fn steps_per_epoch(&self) -> u64 {
        (self.data.images.len() / self.config.batch_global).max(1) as u64
    }

    /// Weights of the network, without running statistics.
    pub(super) fn trained_weights(&self) -> usize {
        let trained = self.trainer.parameters().iter().filter(|parameter| parameter.trained);
        trained.map(|parameter| parameter.shape.len()).sum()
    }

    /// The first line of output: network, data, batch and memory.
    pub(super) fn introduction(&self) -> String {
        let Setting { config, data, session, trainer, .. } = self;
        let parameters = self.trained_weights();
        let (whole, micro) = (config.batch_global, trainer.micro_batch());
        let batch = match (config.batch_ranks, whole / config.batch_ranks / micro) {
            (1, 1) => format!("batch {whole}"),
            (1, parts) => format!("effective batch {whole} = {parts} × {micro}"),
            (ranks, 1) => format!("batch {whole} = {ranks} ranks × {micro}"),
            (ranks, parts) => format!("effective batch {whole} = {ranks} ranks × {parts} × {micro}"),
        };
        let plan = trainer.program().and_then(|program| program.plan()).map_or(String::new(), |plan| {
            format!(", {} dispatches per step, {:.0} MiB", plan.dispatches(), mebibytes(plan.bytes()))
        });
        format!(
            "{} on {}: {} images, {} classes, {parameters} parameters, {batch} of {}²{plan}",
            config.model_backbone,
            session.name(),
            data.images.len(),
            data.images.classes().len(),
            config.train_crop
        )
    }
}
