//! Times the training step on synthetic images.

use std::time::Instant;

use super::measured::Measured;
use super::sums::{kernels, median, medians, parts};
use crate::config::Config;
use crate::engine::probe::Peak;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::parts::network::NetworkConfig;
use crate::run::train::{StepBatch, Trainer};

/// Tags of every image; the slots of the propagation follow from them.
const TAGS: usize = 2;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The recipe, with crop and batch. Its learning rate is not used.
    pub config: Config,
    /// Foreground classes.
    pub classes: usize,
    /// Number of steps and of profiles that are measured; the median is reported.
    pub rounds: usize,
}

/// Measures the training step of `settings` on synthetic images in `session`.
///
/// # Errors
/// [`Error::Memory`] if the step does not fit the device; [`Error::Device`] if it has no timestamps, or is the
/// reference interpreter.
pub fn run(session: &Session, settings: &Settings) -> Result<Measured> {
    if session.is_reference() {
        let remedy = "choose an adapter that `tagseg devices` lists";
        return Err(Error::device("the reference interpreter has no kernels to measure", remedy));
    }
    // A learning rate of 0 keeps the weights from diverging on synthetic images.
    let mut config = settings.config.clone();
    config.optim_lr = 0.0;
    let (crop, batch, classes) = (config.train_crop, config.batch_global, settings.classes);
    let network = NetworkConfig::new(&config, classes)?;
    let mut trainer = Trainer::new(session, &config, &network, TAGS.min(classes), 1)?;
    let last = config.train_iters - 1;
    let images: Vec<u8> = (0..batch * 3 * crop * crop).map(|index| ((index * 7919) % 251) as u8).collect();
    let tags: Vec<f32> = (0..batch * classes).map(|index| f32::from(u8::from(index % classes < TAGS))).collect();
    let boxes = [0, crop as i32, 0, crop as i32].repeat(batch);
    let masks = vec![0; batch * crop * crop];
    let made_up = StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &masks };

    let (_, prepare) = timed(|| trainer.prepare(last))?;
    let mut step = || {
        let (_, host) = timed(|| trainer.step(last, made_up))?;
        let (_, wait) = timed(|| session.wait())?;
        Ok([host, host + wait])
    };
    let [_, first_step] = step()?;
    // The second step may still touch memory for the first time.
    step()?;
    let mut steps = (0..settings.rounds.max(1)).map(|_| step()).collect::<Result<Vec<_>>>()?;
    steps.sort_by(|one, other| one[1].total_cmp(&other[1]));
    let hosts = steps.iter().map(|[host, _]| *host).collect();
    let seconds: Vec<_> = steps.iter().map(|[_, seconds]| *seconds).collect();

    let profiles = (0..settings.rounds.max(1)).map(|_| trainer.profile()).collect::<Result<Vec<_>>>()?;
    let dispatches = medians(profiles);
    let planned_bytes = trainer.program().and_then(|program| program.plan()).map_or(0, |plan| plan.bytes());
    drop(trainer);
    let step = median(seconds.clone());
    Ok(Measured {
        device: session.name().to_owned(),
        table: session.kernels(),
        crop,
        batch,
        classes,
        step,
        fastest_step: seconds[0],
        images_per_second: batch as f64 / step,
        prepare,
        first_step,
        host: median(hosts),
        planned_bytes,
        peak: Peak::measure(session)?,
        parts: parts(&dispatches),
        kernels: kernels(&dispatches),
    })
}

/// The result of `work`, and the seconds it takes.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed().as_secs_f64()))
}
