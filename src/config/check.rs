//! Validation across options.

use super::modes::KEY_REDUCTION;
use super::options::Config;
use super::value::Value;
use crate::error::{Error, Result};

/// Maximum number of steps between two lines of metrics.jsonl.
const LOGGED: usize = 100_000;

impl Config {
    /// Side of a last-stage token in pixels.
    pub fn token_side(&self) -> usize {
        self.model_strides.iter().product()
    }

    /// Smallest image side that the encoder accepts: at every stage, at least one cell must remain after the reduction
    /// of the keys (spec 13, row 40). 29 with the released strides.
    pub fn smallest_side(&self) -> usize {
        let mut cell = 1;
        let side = |(stride, reduction): (usize, usize)| {
            cell *= stride;
            (reduction - 1) * cell + 1
        };
        self.model_strides.into_iter().zip(KEY_REDUCTION).map(side).max().unwrap_or(1)
    }

    /// Checks the range of every option, and that the options are compatible.
    ///
    /// # Errors
    /// [`Error::Config`] for the first invalid option.
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
            let reason =
                format!("{} is too many, since values accumulate on the device in between", self.train_log_every);
            return Err(Error::config("train.log_every", reason, format!("give at most {LOGGED}")));
        }
        let smallest_scale = self.ms_scales.iter().copied().fold(1.0, f64::min);
        let smallest_side = (smallest_scale * self.train_crop as f64) as usize;
        if smallest_side < self.smallest_side() {
            let needed = self.smallest_side();
            return Err(Error::config(
                "train.crop",
                format!(
                    "at scale {smallest_scale} the crop has {smallest_side} pixels a side, the encoder needs {needed}"
                ),
                "give a larger crop or larger ms.scales",
            ));
        }
        let smallest_scale = self.test_scales.iter().copied().fold(1.0, f64::min);
        let needed = (self.smallest_side() as f64 / smallest_scale).ceil() as usize;
        if (1..needed).contains(&self.test_long_side) {
            return Err(Error::config(
                "test.long_side",
                format!("{} is too small for the encoder at scale {smallest_scale}", self.test_long_side),
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
            let Config { batch_global: global, loss_replica_size: replica, .. } = self;
            return Err(Error::config(
                "batch.micro",
                format!("{micro} does not split the batch into equal parts of whole replicas ({replica} images)"),
                format!("give a multiple of {replica} (loss.replica_size) that divides {global} (batch.global)"),
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
