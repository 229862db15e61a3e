//! Validation across options.

use super::options::Config;
use super::value::OptionValue;
use crate::error::{Error, Result};

/// Maximum number of steps between two lines of metrics.jsonl.
const LOGGED: usize = 100_000;

impl Config {
    /// Checks the range of every option, and that the options are compatible with each other. The encoder and the
    /// method have requirements of their own: [`Methods::check`](crate::method::Methods::check) checks all of them.
    ///
    /// # Errors
    /// [`Error::Config`] for the first invalid option.
    pub fn validate(&self) -> Result<()> {
        if let Some(option) = Config::options().iter().find(|option| !option.in_range(self)) {
            return Err(option.refuse(&option.write(self)));
        }
        if self.train_log_every > LOGGED {
            let reason =
                format!("{} is too many, since values accumulate on the device in between", self.train_log_every);
            return Err(Error::config("train.log_every", reason, format!("give at most {LOGGED}")));
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
