//! What fits a device: the largest training batch whose plan is within its limits. Needs no device.

use crate::config::Config;
use crate::engine::gpu::Plan;
use crate::engine::kernel::Target;
use crate::error::Result;
use crate::method::{Methods, Schedule, Sizes, Step};
use crate::parts::network::NetworkConfig;

/// Batch sizes that are tried.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Foreground classes and tag slots of the plans, those of PASCAL VOC.
const CLASSES: usize = 20;
const SLOTS: usize = 8;

/// The largest training step of a preset that fits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fit {
    /// Name of the preset.
    pub preset: &'static str,
    /// Side of its training crop.
    pub crop: usize,
    /// Images in a step.
    pub batch: usize,
    /// Bytes of all its buffers; no interface reports how many a device has free.
    pub bytes: u64,
}

/// The largest of the batches 1, 2, 4, … 64 with which the last phase of a preset's training, the one with all losses,
/// needs no buffer above `largest` bytes; `None` if not even one image fits.
///
/// # Errors
/// If the preset is unknown.
pub fn fit(preset: &'static str, largest: u64, target: Target) -> Result<Option<Fit>> {
    let config = Config::preset(preset)?;
    let crop = config.train_crop;
    let (method, network) = (Methods::default().of(&config)?, NetworkConfig::new(&config, CLASSES)?);
    let phase = Schedule::new(&method, &config, &network.encoder).phase(config.train_iters - 1);
    let mut found = None;
    for batch in BATCHES {
        let sizes = Sizes { batch, crop: [crop; 2], slots: SLOTS };
        let step = Step::record(&method, &config, &network, &phase, sizes, true)?;
        step.update()?;
        let plan = Plan::new(&step.graph, &[], target);
        if plan.largest() > largest {
            break;
        }
        found = Some(Fit { preset, crop, batch, bytes: plan.bytes() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: a larger limit fits at least as much, and no memory fits nothing.
    #[test]
    fn what_fits_grows_with_the_limit() {
        let batch = |largest| fit("nano", largest, Target::graphics()).unwrap().map_or(0, |fit| fit.batch);
        let [none, some, most] = [1 << 10, 32 << 20, 1 << 40].map(batch);
        assert!(none == 0 && 0 < some && some < most && most == 64, "{none} {some} {most}");
    }
}
