//! What no single option can tell: whether options fit each other.

use super::modes::KEY_REDUCTION;
use super::options::Config;
use super::value::Value;
use crate::error::{Error, Result};

/// Steps between two lines of the record, at most.
const LOGGED: usize = 100_000;

impl Config {
    /// Side of a token of the last stage in pixels.
    pub fn token_side(&self) -> usize {
        self.model_strides.iter().product()
    }

    /// Smallest side of an image that the encoder takes: at every stage its keys, reduced, must leave a cell (spec 13,
    /// row 40). 29 with the released strides.
    pub fn smallest_side(&self) -> usize {
        let mut cell = 1;
        let side = |(stride, reduction): (usize, usize)| {
            cell *= stride;
            (reduction - 1) * cell + 1
        };
        self.model_strides.into_iter().zip(KEY_REDUCTION).map(side).max().unwrap_or(1)
    }

    /// Checks every limit, and that the options fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] for the first option that does not fit.
    pub fn validate(&self) -> Result<()> {
        if let Some(option) = Config::options().iter().find(|option| !option.in_range(self)) {
            return Err(option.refuse(&option.write(self)));
        }
        let token = self.token_side();
        if !self.train_crop.is_multiple_of(token) {
            let lower = self.train_crop / token * token;
            let near = if lower == 0 { token.to_string() } else { format!("{lower} or {}", lower + token) };
            let reason = format!("{} is not a multiple of {token}, the product of model.strides", self.train_crop);
            return Err(Error::config("train.crop", reason, format!("give {near}")));
        }
        if self.train_log_every > LOGGED {
            let reason = format!("the values of {} steps would have to wait on the device", self.train_log_every);
            return Err(Error::config("train.log_every", reason, format!("give {LOGGED} at most")));
        }
        let smallest_scale = self.ms_scales.iter().copied().fold(1.0, f64::min);
        let smallest_side = (smallest_scale * self.train_crop as f64) as usize;
        if smallest_side < self.smallest_side() {
            let needed = self.smallest_side();
            return Err(Error::config(
                "train.crop",
                format!("at scale {smallest_scale} only {smallest_side} pixels remain, the encoder needs {needed}"),
                "give a larger crop or larger ms.scales",
            ));
        }
        let smallest_scale = self.test_scales.iter().copied().fold(1.0, f64::min);
        let needed = (self.smallest_side() as f64 / smallest_scale).ceil() as usize;
        if (1..needed).contains(&self.test_long_side) {
            return Err(Error::config(
                "test.long_side",
                format!("at scale {smallest_scale} of {} the encoder sees too little", self.test_long_side),
                format!("give at least {needed}, or larger test.scales"),
            ));
        }
        if !self.batch_global.is_multiple_of(self.loss_replica_size) {
            return Err(Error::config(
                "batch.global",
                format!("{} is not divisible by loss.replica_size {}", self.batch_global, self.loss_replica_size),
                format!("give a multiple of {}, or set loss.replica_size", self.loss_replica_size),
            ));
        }
        let micro = self.batch_micro;
        if micro > 0 && !(micro.is_multiple_of(self.loss_replica_size) && self.batch_global.is_multiple_of(micro)) {
            let Config { batch_global, loss_replica_size, .. } = self;
            return Err(Error::config(
                "batch.micro",
                format!(
                    "{micro} would cut groups of {loss_replica_size} images that are normalised together, or the batch unevenly"
                ),
                format!(
                    "give a multiple of {loss_replica_size} (loss.replica_size) that divides {batch_global} (batch.global)"
                ),
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
        Ok(())
    }
}
