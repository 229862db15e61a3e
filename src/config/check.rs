//! Validation across options.

use super::modes::Propagation;
use super::options::Config;
use super::value::OptionValue;
use crate::error::{Error, Result};

/// Maximum number of steps between two lines of metrics.jsonl.
const LOGGED: usize = 100_000;

impl Config {
    /// The parts of the method that are wanted, but would begin after the last step, each with its option: a number that
    /// was meant for a longer run. Parts that would begin at the very end are left out on purpose.
    pub fn parts_beyond_the_run(&self) -> Vec<(&'static str, &'static str, usize)> {
        let [c2s, s2c, _] = self.lambda.map(|weight| weight > 0.0);
        let parts = [
            (c2s, "c2s", "schedule.n_c2s", self.schedule_n_c2s),
            (s2c, "s2c", "schedule.n_s2c", self.schedule_n_s2c),
            (c2s && self.propagation == Propagation::Bsp, "BSP", "schedule.n_bsp", self.schedule_n_bsp),
        ];
        let late = |&(wanted, _, _, begins): &(bool, &str, &str, usize)| wanted && begins > self.train_iters;
        parts.into_iter().filter(late).map(|(_, part, option, begins)| (part, option, begins)).collect()
    }

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
        let Config { batch_global: global, batch_ranks: ranks, loss_replica_size: replica, .. } = *self;
        let splits = |ranks: usize| global.is_multiple_of(ranks) && (global / ranks).is_multiple_of(replica);
        if ranks > 1 && !splits(ranks) {
            let possible: Vec<_> = (1..=global).filter(|&ranks| splits(ranks)).map(|ranks| ranks.to_string()).collect();
            return Err(Error::config(
                "batch.ranks",
                format!(
                    "{ranks} ranks do not divide {global} images into equal groups of whole replicas ({replica} images)"
                ),
                format!("give {}, or change batch.global or loss.replica_size", possible.join(" or ")),
            ));
        }
        let (micro, group) = (self.batch_micro, global / ranks);
        if micro > 0 && !(micro.is_multiple_of(replica) && group.is_multiple_of(micro)) {
            let (part, whole) = match ranks {
                1 => ("the batch", "batch.global"),
                _ => ("the images of a rank", "batch.global / batch.ranks"),
            };
            return Err(Error::config(
                "batch.micro",
                format!("{micro} does not split {part} into equal parts of whole replicas ({replica} images)"),
                format!("give a multiple of {replica} (loss.replica_size) that divides {group} ({whole})"),
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
