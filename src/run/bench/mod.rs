//! How fast a training step is on a device, and where its time goes.

mod probe;
mod report;

use std::time::Instant;

use crate::config::Config;
use crate::engine::gpu::KernelTime;
use crate::engine::kernel::KernelTable;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::parts::network::NetworkConfig;
use crate::run::train::{StepBatch, Trainer};

pub use probe::{Peak, median_time};

/// Tags of every image; the slots of the propagation follow from them.
const TAGS: usize = 2;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The recipe, with crop and batch. Its learning rate is not used.
    pub config: Config,
    /// Foreground classes.
    pub classes: usize,
    /// Steps and profiles that are measured, of which the median counts.
    pub rounds: usize,
}

/// What was measured. Times are in seconds.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Measured {
    /// The adapter.
    pub device: String,
    /// The kernel choices that it goes by.
    pub table: Option<KernelTable>,
    /// Side of the crops.
    pub crop: usize,
    /// Images in a step.
    pub batch: usize,
    /// Foreground classes.
    pub classes: usize,
    /// The median step in the last phase of training, where every part is on.
    pub step: f64,
    /// The fastest step.
    pub fastest_step: f64,
    /// Images in a second at the median.
    pub images_per_second: f64,
    /// Recording and planning the step, and making its pipelines.
    pub prepare: f64,
    /// The first step after that; drivers compile kernels here that they do not find in a cache of theirs.
    pub first_step: f64,
    /// What the host does for a step while the device waits for nothing, median.
    pub host: f64,
    /// Bytes of all buffers of the step.
    pub planned_bytes: u64,
    /// What two plain kernels reach on this device in this run.
    pub peak: Peak,
    /// Time on the device by part of the step, in the order of the step.
    pub parts: Vec<Part>,
    /// Kernels by shader and result, the heaviest first.
    pub kernels: Vec<Kernel>,
}

/// A part of the step.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Part {
    /// Its name in the recording.
    pub name: &'static str,
    /// Time on the device.
    pub seconds: f64,
    /// Arithmetic operations of the kernels that count them.
    pub operations: u64,
    /// Number of dispatches.
    pub dispatches: usize,
}

/// All dispatches of one shader for one op and size of result.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Kernel {
    /// The op.
    pub op: &'static str,
    /// The shader.
    pub shader: &'static str,
    /// Type and shape of the result.
    pub output: String,
    /// Number of dispatches.
    pub dispatches: usize,
    /// Time of all of them.
    pub seconds: f64,
    /// Arithmetic operations of all of them, 0 where they are not counted.
    pub operations: u64,
    /// Bytes that all of them move at least: each bound value once.
    pub traffic: u64,
}

impl Kernel {
    /// The time that the device's peak would need for the arithmetic or the bytes, whichever is longer, as a share of
    /// the time taken.
    pub fn share_of_peak(&self, peak: &Peak) -> f64 {
        (self.operations as f64 / peak.operations).max(self.traffic as f64 / peak.bytes) / self.seconds
    }
}

/// Measures the training step of `settings` on made-up images in `session`.
///
/// # Errors
/// [`Error::Memory`] if the step does not fit the device; [`Error::Device`] if that has no timestamps, or is none at all.
pub fn run(session: &Session, settings: &Settings) -> Result<Measured> {
    if session.is_reference() {
        let remedy = "choose an adapter that `tagseg devices` lists";
        return Err(Error::device("the reference interpreter has no kernels to measure", remedy));
    }
    // Weights that stay what they are keep made-up images from leading them anywhere.
    let mut config = settings.config.clone();
    config.optim_lr = 0.0;
    let (crop, batch, classes) = (config.train_crop, config.batch_global, settings.classes);
    let network = NetworkConfig::new(&config, classes);
    let mut trainer = Trainer::new(session, &config, &network, TAGS.min(classes), 1)?;
    let last = config.train_iters - 1;
    let images: Vec<f32> = (0..batch * 3 * crop * crop).map(|index| ((index * 7919) % 1009) as f32 / 300.0).collect();
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
    // The second step may still meet memory that was never touched.
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

/// What `work` gives, and the seconds it takes.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed().as_secs_f64()))
}

/// The middle one of `values`, of which there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Every dispatch with its median time over `profiles`, of which there is at least one.
fn medians(mut profiles: Vec<Vec<KernelTime>>) -> Vec<KernelTime> {
    let mut dispatches = profiles.swap_remove(0);
    for (index, dispatch) in dispatches.iter_mut().enumerate() {
        let others = profiles.iter().map(|profile| profile[index].seconds);
        dispatch.seconds = median(others.chain([dispatch.seconds]).collect());
    }
    dispatches
}

fn parts(dispatches: &[KernelTime]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for dispatch in dispatches {
        let known = parts.iter().position(|part| part.name == dispatch.part).unwrap_or_else(|| {
            parts.push(Part { name: dispatch.part, seconds: 0.0, operations: 0, dispatches: 0 });
            parts.len() - 1
        });
        parts[known].seconds += dispatch.seconds;
        parts[known].operations += dispatch.operations;
        parts[known].dispatches += 1;
    }
    parts
}

fn kernels(dispatches: &[KernelTime]) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for &KernelTime { op, shader, ref output, seconds, operations, traffic, .. } in dispatches {
        let same = |kernel: &&mut Kernel| kernel.op == op && kernel.shader == shader && kernel.output == *output;
        match kernels.iter_mut().find(same) {
            Some(kernel) => {
                kernel.dispatches += 1;
                kernel.seconds += seconds;
                kernel.operations += operations;
                kernel.traffic += traffic;
            }
            None => {
                let output = output.clone();
                kernels.push(Kernel { op, shader, output, dispatches: 1, seconds, operations, traffic });
            }
        }
    }
    kernels.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    kernels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatch(part: &'static str, op: &'static str, seconds: f64) -> KernelTime {
        KernelTime { part, op, output: "f32[2]".into(), shader: op, seconds, operations: 10, traffic: 40 }
    }

    /// Protects: nothing is lost or counted twice between dispatches, parts and kernels.
    #[test]
    fn dispatches_are_summed_by_part_and_by_kernel() {
        let profile = |factor: f64| {
            [("forward", "matmul", 1.0), ("backward", "matmul", 4.0), ("backward", "softmax", 2.0)]
                .map(|(part, op, seconds)| dispatch(part, op, factor * seconds))
                .to_vec()
        };
        let dispatches = medians(vec![profile(9.0), profile(1.0), profile(2.0)]);
        let parts = parts(&dispatches);
        assert_eq!(
            parts.iter().map(|part| (part.name, part.seconds)).collect::<Vec<_>>(),
            [("forward", 2.0), ("backward", 12.0)]
        );
        let kernels = kernels(&dispatches);
        let found: Vec<_> = kernels.iter().map(|kernel| (kernel.op, kernel.dispatches, kernel.seconds)).collect();
        assert_eq!(found, [("matmul", 2, 10.0), ("softmax", 1, 4.0)]);
        let peak = Peak { operations: 4.0, bytes: 8.0 };
        assert_eq!(kernels[0].share_of_peak(&peak), 1.0, "bytes weigh more: 80 at 8 a second");
    }
}
