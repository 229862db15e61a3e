//! Training batches, prepared on background threads.
//!
//! A batch is a pure function of the data set, the seed and the training step: neither the number of threads
//! nor the step at which a run was resumed changes it. Worker `w` of `n` prepares the steps `w, w + n, w + 2n, …` into
//! a channel of its own, and [`Loader::next`] takes from the channels in turn, so batches need no sorting.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::data::augment::{AugmentOptions, augment};
use crate::data::dataset::Dataset;
use crate::data::picture::Rgb8;
use crate::data::random::{Purpose, stream};
use crate::data::sampler::{Balance, Draw, Sampler};
use crate::error::{Error, Result};

/// Decoded images are kept up to this many bytes in all; the rest are decoded again in every epoch.
const CACHE_BYTES: usize = 512 << 20;

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Images per batch (B).
    pub batch: usize,
    /// The images of each batch that are made; all by default. They are the same whatever else is made.
    pub rows: Option<Range<usize>>,
    /// Side of the square crops in pixels (S).
    pub crop: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Background threads.
    pub threads: usize,
    /// Batches to prepare ahead, over all threads; every thread prepares at least one.
    pub prefetch: usize,
    /// Training step of the first batch: 0, or the step at which a run resumes.
    pub start_step: u64,
    /// Random scale and flip.
    pub augment: AugmentOptions,
    /// Whether to read the masks too, which BMP never uses.
    pub masks: bool,
    /// Whether images are drawn so that every class is seen alike.
    pub balance: bool,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            batch: 8,
            rows: None,
            crop: 512,
            seed: 1,
            threads: 2,
            prefetch: 4,
            start_step: 0,
            augment: AugmentOptions::default(),
            masks: false,
            balance: false,
        }
    }
}

/// The input of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Red, green and blue, `[B, S, S, 3]`.
    pub images: Vec<u8>,
    /// `[B, K]`, 0 or 1.
    pub tags: Vec<f32>,
    /// `[B, 4]`: y0, y1, x0, x1 of the image within its crop, half open (method.md 5.1).
    pub boxes: Vec<i32>,
    /// `[B, S, S]`: class indices, void on padding; empty if masks are not requested.
    pub masks: Vec<i32>,
    /// The images' ids, B of them.
    pub ids: Vec<String>,
}

/// State shared by the workers.
struct Source {
    dataset: Arc<Dataset>,
    options: LoaderOptions,
    /// One entry per image, filled when it is first decoded.
    cache: Vec<OnceLock<Rgb8>>,
    room: Room,
}

/// Remaining capacity of the cache in bytes.
struct Room(AtomicUsize);

impl Room {
    /// Reserves space for an image of this many bytes, if there is enough.
    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

impl Source {
    fn batch(&self, sampler: &mut Sampler, step: u64) -> Result<Batch> {
        let LoaderOptions { batch, ref rows, crop, seed, augment: ref choices, masks, .. } = self.options;
        let rows = rows.clone().unwrap_or(0..batch);
        let batch = rows.len();
        let mut result = Batch {
            images: Vec::with_capacity(batch * 3 * crop * crop),
            tags: Vec::with_capacity(batch * self.dataset.classes().len()),
            boxes: Vec::with_capacity(batch * 4),
            masks: Vec::new(),
            ids: Vec::with_capacity(batch),
        };
        for &Draw { epoch, image: index, counter } in &sampler.batch(step)[rows] {
            let mut rng = stream(seed, Purpose::Augment, [epoch, counter]);
            let mask = masks.then(|| self.dataset.mask(index)).transpose()?;
            let sample = self.with_image(index, |image| augment(image, mask.as_ref(), crop, choices, &mut rng))?;
            result.masks.extend_from_slice(&sample.mask);
            result.images.extend_from_slice(&sample.image);
            result.tags.extend_from_slice(self.dataset.tags(index));
            result.boxes.extend_from_slice(&sample.img_box);
            result.ids.push(self.dataset.ids()[index].clone());
        }
        Ok(result)
    }

    /// Calls `use_image` with image `index`, decoded now or kept from an earlier epoch.
    fn with_image<T>(&self, index: usize, use_image: impl FnOnce(&Rgb8) -> T) -> Result<T> {
        if let Some(image) = self.cache[index].get() {
            return Ok(use_image(image));
        }
        let image = self.dataset.image(index)?;
        if self.room.take(image.data.len()) {
            return Ok(use_image(self.cache[index].get_or_init(|| image)));
        }
        Ok(use_image(&image))
    }

    /// Prepares every `stride`-th batch until the receiver is gone or an error has been sent.
    fn work(&self, first_step: u64, stride: usize, ready: &SyncSender<Result<Batch>>) {
        let mut sampler = self.sampler();
        for step in (first_step..).step_by(stride) {
            let batch = catch_unwind(AssertUnwindSafe(|| self.batch(&mut sampler, step)))
                .unwrap_or_else(|panic| Err(self.panicked(step, panic.as_ref())));
            let failed = batch.is_err();
            if ready.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn sampler(&self) -> Sampler {
        let LoaderOptions { batch, seed, balance, .. } = self.options;
        let (dataset, images) = (&self.dataset, self.dataset.len());
        let tags =
            |index| (0..).zip(dataset.tags(index)).filter(|(_, tag)| **tag > 0.0).map(|(class, _)| class).collect();
        Sampler::new(
            images,
            batch,
            seed,
            balance.then(|| Balance::new((0..images).map(tags).collect(), dataset.classes().len())),
        )
    }

    fn panicked(&self, step: u64, panic: &(dyn std::any::Any + Send)) -> Error {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let reason = format!("the loader panicked at step {step}: {}", text.unwrap_or("no message"));
        Error::data(self.dataset.root(), reason, "please report this bug")
    }
}

/// Yields the batches of the steps `start_step, start_step + 1, …`, epoch after epoch, endlessly. Dropping it ends
/// its threads.
pub struct Loader {
    source: Arc<Source>,
    /// Worker `w` sends the batches of every step with `(step - start_step) % threads == w`.
    channels: Vec<Receiver<Result<Batch>>>,
    workers: Vec<JoinHandle<()>>,
    step: u64,
}

impl Loader {
    /// Starts the background threads.
    ///
    /// # Errors
    ///
    /// If an option is 0 that must not be, or the data set has less than one batch.
    pub fn new(dataset: Arc<Dataset>, options: LoaderOptions) -> Result<Self> {
        for (key, value) in [("batch", options.batch), ("crop", options.crop), ("threads", options.threads)] {
            if value == 0 {
                return Err(Error::config(key, "is 0", "use 1 or more"));
            }
        }
        options.augment.check()?;
        dataset.check_batch(options.batch)?;
        let cache = (0..dataset.len()).map(|_| OnceLock::new()).collect();
        let room = Room(CACHE_BYTES.into());
        let mut loader = Loader {
            step: options.start_step,
            source: Arc::new(Source { dataset, options, cache, room }),
            channels: Vec::new(),
            workers: Vec::new(),
        };
        loader.start()?;
        Ok(loader)
    }

    fn start(&mut self) -> Result<()> {
        let LoaderOptions { threads, prefetch, start_step, .. } = self.source.options;
        // In addition to its channel, a worker holds the batch that it is about to send.
        let held = prefetch.div_ceil(threads).saturating_sub(1);
        for worker in 0..threads {
            let (ready, channel) = sync_channel(held);
            let source = Arc::clone(&self.source);
            let first_step = start_step + worker as u64;
            let handle = thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || source.work(first_step, threads, &ready))
                .map_err(|error| Error::config("threads", format!("cannot start a thread ({error})"), "use fewer"))?;
            self.channels.push(channel);
            self.workers.push(handle);
        }
        Ok(())
    }

    /// Training steps per epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.source.dataset.len() / self.source.options.batch
    }

    /// The batch of the next step; waits until it is ready.
    ///
    /// # Errors
    ///
    /// If an image of the batch cannot be read. The loader then yields no further batch.
    #[expect(clippy::should_implement_trait, reason = "endless and fallible: the caller counts the steps")]
    pub fn next(&mut self) -> Result<Batch> {
        let worker = (self.step - self.source.options.start_step) % self.channels.len() as u64;
        let stopped =
            || Error::data(self.source.dataset.root(), "the loader stopped after an error", "create a new loader");
        let batch = self.channels[worker as usize].recv().map_err(|_| stopped())??;
        self.step += 1;
        Ok(batch)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A worker waits in `send` or finishes its batch; without receivers, its next `send` fails and it returns.
        self.channels.clear();
        for worker in self.workers.drain(..) {
            // A worker catches its panics, so the result of the thread can be ignored.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::DatasetOptions;
    use crate::data::shapes::{ShapesOptions, generate};

    /// Protects a run from waiting forever for a worker that panicked.
    #[test]
    fn a_panic_becomes_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let shapes = ShapesOptions { train: 2, val: 1, size: 32, ..ShapesOptions::default() };
        generate(folder.path(), &shapes).unwrap();
        let dataset = Dataset::open(folder.path(), "train", &DatasetOptions::default()).unwrap();
        let options = LoaderOptions { batch: 2, crop: 8, ..LoaderOptions::default() };
        // An empty cache is a bug that no caller can cause.
        let source = Source { dataset: Arc::new(dataset), options, cache: Vec::new(), room: Room(0.into()) };
        let (ready, channel) = sync_channel(1);
        source.work(0, 1, &ready);
        let error = channel.recv().unwrap().unwrap_err().to_string();
        assert!(error.contains("panicked at step 0: index out of bounds"), "{error}");
    }

    /// Protects the limit of cached bytes.
    #[test]
    fn capacity_is_reserved_once() {
        let room = Room(10.into());
        assert!(room.take(6) && !room.take(5) && room.take(4) && !room.take(1));
    }
}
