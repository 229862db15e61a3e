//! What no single option can tell: whether options fit each other, and whether all of them can be carried out.

use super::*;

/// Smallest side of an image the encoder takes: its first grid needs 8 cells for the coarsest key reduction
/// (spec 13, row 40).
const SMALLEST_SIDE: usize = 29;

impl Config {
    /// Checks every limit, that the options fit each other, and that all of them can be carried out.
    ///
    /// # Errors
    /// [`Error::Config`] for the first option that does not fit.
    pub fn validate(&self) -> Result<()> {
        if let Some(option) = Config::options().iter().find(|option| !option.in_range(self)) {
            return Err(option.refuse(&option.write(self)));
        }
        if !self.train_crop.is_multiple_of(16) {
            let lower = self.train_crop / 16 * 16;
            return Err(Error::config(
                "train.crop",
                format!("{} is not a multiple of 16", self.train_crop),
                format!("give {} or {}", lower, lower + 16),
            ));
        }
        let smallest_scale = self.ms_scales.iter().copied().fold(1.0, f64::min);
        let smallest_side = (smallest_scale * self.train_crop as f64) as usize;
        if smallest_side < SMALLEST_SIDE {
            return Err(Error::config(
                "train.crop",
                format!(
                    "at scale {smallest_scale} only {smallest_side} pixels remain, the encoder needs {SMALLEST_SIDE}"
                ),
                "give a larger crop or larger ms.scales",
            ));
        }
        if !self.batch_global.is_multiple_of(self.loss_replica_size) {
            return Err(Error::config(
                "batch.global",
                format!("{} is not divisible by loss.replica_size {}", self.batch_global, self.loss_replica_size),
                format!("give a multiple of {}, or set loss.replica_size", self.loss_replica_size),
            ));
        }
        if self.cam_low > self.cam_high {
            return Err(Error::config(
                "cam.low",
                format!("{} is above cam.high {}", self.cam_low, self.cam_high),
                "give cam.low ≤ cam.high",
            ));
        }
        if self.optim_warmup_iters >= self.train_iters {
            return Err(Error::config(
                "optim.warmup_iters",
                format!("{} is not below train.iters {}", self.optim_warmup_iters, self.train_iters),
                "give fewer, or a share of the run: --set optim.warmup_iters=7.5%",
            ));
        }
        if self.data_scale[0] > self.data_scale[1] {
            return Err(Error::config(
                "data.scale",
                format!("{} is not ordered", self.data_scale.write()),
                "give the smaller scale first",
            ));
        }
        match self.unsupported() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// The first option with a value that the program knows but cannot carry out yet. Delete a row once it can.
    pub fn unsupported(&self) -> Option<Error> {
        let released_only = [
            ("model.strides", self.model_strides != [4, 2, 2, 1], "[4, 2, 2, 1]"),
            ("s2c.map", self.s2c_map != S2cMap::CamLogits, "cam_logits"),
        ];
        let (name, _, supported) = released_only.into_iter().find(|(_, refused, _)| *refused)?;
        let value = OptionInfo::find(name).map(|option| option.write(self)).unwrap_or_default();
        Some(Error::config(name, format!("{value} is not implemented yet"), format!("use {supported}")))
    }
}
