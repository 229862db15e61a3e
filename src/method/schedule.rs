//! The schedule of a run: phases and learning rates (method.md 6.6, 7).

use std::sync::Arc;

use super::definition::Method;
use super::groups::Group;
use super::phase::Phase;
use crate::config::Config;
use crate::engine::ops::adamw::Constants;
use crate::error::{Error, Result};
use crate::parts::encoders::Encoder;

/// The schedule of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    method: Arc<dyn Method>,
    encoder: Arc<dyn Encoder>,
    config: Config,
    groups: Vec<Group>,
}

impl Schedule {
    /// The schedule of a method for a network with this encoder.
    pub fn new(method: &Arc<dyn Method>, config: &Config, encoder: &Arc<dyn Encoder>) -> Self {
        let groups = method.groups(config);
        Schedule { method: method.clone(), encoder: encoder.clone(), config: config.clone(), groups }
    }

    /// The phase of the zero-based step `n`.
    pub fn phase(&self, n: usize) -> Phase {
        self.method.phase(&self.config, n)
    }

    /// Every phase of the run, in the order in which they begin.
    pub fn phases(&self) -> Vec<Phase> {
        let mut phases: Vec<Phase> = Vec::new();
        for phase in (0..self.config.train_iters).map(|n| self.phase(n)) {
            if !phases.contains(&phase) {
                phases.push(phase);
            }
        }
        phases
    }

    /// The steps at which parts of the method begin, for curves. Parts that begin too close together to be
    /// distinguished there share an entry.
    pub fn beginnings(&self) -> Vec<(usize, String)> {
        let steps = self.config.train_iters;
        let mut beginnings: Vec<(usize, String)> = Vec::new();
        for part in self.method.marked_parts() {
            let Some(n) = (0..steps).find(|&n| self.phase(n).has(part)) else { continue };
            match beginnings.last_mut() {
                Some((last, names)) if n.abs_diff(*last) * 50 < steps => *names += &format!(", {part}"),
                _ => beginnings.push((n, (*part).to_owned())),
            }
        }
        beginnings
    }

    /// The groups of parameters: the rows of AdamW's hyper-parameters.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The row of the group that a parameter belongs to.
    ///
    /// # Errors
    /// [`Error::Graph`] if the method names a group that it does not list.
    pub fn row_of(&self, parameter: &str) -> Result<usize> {
        let name = self.method.group_of(parameter, &*self.encoder, &self.config);
        self.groups.iter().position(|group| group.name == name).ok_or_else(|| {
            let method = self.method.name();
            Error::Graph(format!("method `{method}` assigns `{parameter}` to group `{name}`, which it does not list"))
        })
    }

    /// Whether a parameter is trained.
    ///
    /// # Errors
    /// As [`Schedule::row_of`].
    pub fn trains(&self, parameter: &str) -> Result<bool> {
        self.row_of(parameter).map(|row| self.groups[row].trains)
    }

    /// Factor of every learning rate at step `n` (method.md 7.4): linear warm-up, then polynomial decay that is not
    /// re-based. After the end of the run, the last factor applies.
    pub fn rate_factor(&self, n: usize) -> f64 {
        let config = &self.config;
        let iters = config.train_iters.max(1);
        let n = n.min(iters - 1);
        let share = |of: usize| n as f64 / of as f64;
        if n < config.optim_warmup_iters {
            1.0 - (1.0 - share(config.optim_warmup_iters)) * (1.0 - config.optim_warmup_ratio)
        } else {
            (1.0 - share(iters)).powf(config.optim_power)
        }
    }

    /// The learning rate at step `n` of a group whose rate is `multiple` times `optim.lr`; 1 is the recorded one.
    pub fn rate(&self, multiple: f64, n: usize) -> f64 {
        self.config.optim_lr * multiple * self.rate_factor(n)
    }

    /// The hyper-parameters of AdamW at step `n` (method.md 7.3), a row for each group: rate, weight decay, 1 − β1ᵗ,
    /// √(1 − β2ᵗ), with t = n + 1.
    pub fn hypers(&self, n: usize) -> Vec<f64> {
        let row = |group: &Group| self.optimiser().hyper(self.rate(group.rate, n), group.decay, n as u64 + 1);
        self.groups.iter().flat_map(row).collect()
    }

    /// The constants of AdamW.
    pub fn optimiser(&self) -> Constants {
        let config = &self.config;
        Constants { beta1: config.optim_beta1, beta2: config.optim_beta2, eps: config.optim_eps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::list::Methods;
    use crate::parts::encoders::find;

    fn schedule(config: &Config) -> Schedule {
        Schedule::new(&Methods::default().of(config).unwrap(), config, &find(config).unwrap())
    }

    /// Protects: the factor's check values of method.md 7.4 and 16, with the jump at the end of warm-up.
    #[test]
    fn rate_factor_has_the_published_values() {
        let expected = [(0, 1e-6), (1, 6.67666e-4), (1499, 0.999_333_33), (1500, 0.925), (2000, 0.9), (19_999, 5e-5)];
        for (n, factor) in expected {
            let got = schedule(&Config::default()).rate_factor(n);
            assert!((got / factor - 1.0_f64).abs() < 1e-6, "n = {n}: {got}");
        }
    }

    /// Protects: the first step after warm-up with zero gradients moves by 2.9412 rates (method.md 16).
    #[test]
    fn bias_correction_counts_zero_gradient_steps() {
        let mut config = Config::default();
        config.optim_lr = 1.0;
        let [_, _, first, second, ..] = schedule(&config).hypers(2001)[..] else { unreachable!() };
        let step = (0.1 / first) / ((0.001_f64).sqrt() / second);
        assert!((step - 2.9412).abs() < 1e-4, "{step}");
    }
}
