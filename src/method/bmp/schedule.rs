//! What changes over a run: phases, loss weights, learning rates (spec 6.6, 7).

use crate::config::{Config, Propagation};
use crate::engine::ops::adamw::Constants;

/// Which parts of the method are on. Each phase is a program of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Phase {
    /// Y_c supervises the segmentation branch.
    pub c2s: bool,
    /// Y_s supervises the classification branch.
    pub s2c: bool,
    /// The affinity loss is on.
    pub aff: bool,
    /// Y_c comes from propagation instead of fixed thresholds.
    pub propagated: bool,
}

/// A group of the optimiser (spec 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Group {
    /// Encoder weights and biases.
    Encoder,
    /// Layer norms of the encoder.
    Norm,
    /// Classifier and affinity head.
    Head,
    /// The decoder, batch norm included.
    Decoder,
}

impl Group {
    /// All groups, in the order of the official optimiser.
    pub const ALL: [Group; 4] = [Group::Encoder, Group::Norm, Group::Head, Group::Decoder];
}

/// The group of a parameter, decided by its name as in the official release.
pub fn group_of(name: &str) -> Group {
    match name.split('.').next() {
        Some("encoder") if name.contains("norm") => Group::Norm,
        Some("encoder") => Group::Encoder,
        Some("decoder") => Group::Decoder,
        _ => Group::Head,
    }
}

/// The schedule of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: Config,
}

impl Schedule {
    /// The schedule of a configuration.
    pub fn new(config: &Config) -> Self {
        Schedule { config: config.clone() }
    }

    /// The phase of the zero-based step `n`: warm-ups include their last step, propagation starts at its own. What has
    /// weight 0 never begins.
    pub fn phase(&self, n: usize) -> Phase {
        let config = &self.config;
        let [c2s, s2c, aff] = config.lambda.map(|weight| weight > 0.0);
        let begun = n > config.schedule_n_c2s;
        Phase {
            c2s: begun && c2s,
            s2c: begun && s2c && n > config.schedule_n_s2c,
            aff: begun && aff,
            propagated: n >= config.schedule_n_bsp && config.propagation != Propagation::Par,
        }
    }

    /// The steps at which parts of the method begin, for curves. Parts that begin too close together to be told apart
    /// there share an entry.
    pub fn beginnings(&self) -> Vec<(usize, String)> {
        let steps = self.config.train_iters;
        let first = |on: fn(Phase) -> bool, name| (0..steps).find(|&n| on(self.phase(n))).map(|n| (n, name));
        let parts = [first(|p| p.c2s, "c2s"), first(|p| p.s2c, "s2c"), first(|p| p.propagated, "bsp")];
        let mut beginnings: Vec<(usize, String)> = Vec::new();
        for (n, name) in parts.into_iter().flatten() {
            match beginnings.last_mut() {
                Some((last, names)) if n.abs_diff(*last) * 50 < steps => *names += &format!(", {name}"),
                _ => beginnings.push((n, name.to_owned())),
            }
        }
        beginnings
    }

    /// Weights of the losses cls, c2s, s2c, aff in `phase`.
    pub fn weights(&self, phase: Phase) -> [f64; 4] {
        let [c2s, s2c, aff] = self.config.lambda;
        let when = |on: bool, weight: f64| if on { weight } else { 0.0 };
        [1.0, when(phase.c2s, c2s), when(phase.s2c, s2c), when(phase.aff, aff)]
    }

    /// Factor of every learning rate at step `n` (spec 7.4): linear warm-up, then polynomial decay that is not re-based.
    /// Past the end of the run the last factor holds.
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

    /// Learning rate of a group at step `n`.
    pub fn rate(&self, group: Group, n: usize) -> f64 {
        let config = &self.config;
        let factor = match group {
            Group::Encoder => 1.0,
            Group::Norm => config.optim_norm_lr_factor,
            Group::Head | Group::Decoder => config.optim_head_factor,
        };
        config.optim_lr * factor * self.rate_factor(n)
    }

    /// Whether a group is ever updated; frozen groups need no gradient.
    pub fn trains(&self, group: Group) -> bool {
        group != Group::Norm || self.config.optim_norm_lr_factor > 0.0
    }

    /// What AdamW needs for a group at step `n` (spec 7.3): rate, weight decay, 1 − β1ᵗ, √(1 − β2ᵗ), with t = n + 1.
    pub fn hyper(&self, group: Group, n: usize) -> [f64; 4] {
        let config = &self.config;
        let decay = if group == Group::Norm { 0.0 } else { config.optim_weight_decay };
        self.optimiser().hyper(self.rate(group, n), decay, n as u64 + 1)
    }

    /// [`Schedule::hyper`] of every group, in the order of [`Group::ALL`]: \[4, 4\].
    pub fn hypers(&self, n: usize) -> Vec<f64> {
        Group::ALL.iter().flat_map(|&group| self.hyper(group, n)).collect()
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

    fn voc() -> Schedule {
        Schedule::new(&Config::default())
    }

    /// Protects: the factor's check values of spec 7.4 and 16, with the jump at the end of warm-up.
    #[test]
    fn rate_factor_has_the_published_values() {
        let expected = [(0, 1e-6), (1, 6.67666e-4), (1499, 0.999_333_33), (1500, 0.925), (2000, 0.9), (19_999, 5e-5)];
        for (n, factor) in expected {
            let got = voc().rate_factor(n);
            assert!((got / factor - 1.0_f64).abs() < 1e-6, "n = {n}: {got}");
        }
    }

    /// Protects: `≤` for loss warm-ups, `≥` for propagation, zero-based (spec 6.6, 13.31).
    #[test]
    fn phases_switch_at_the_right_step() {
        let phase = |n| voc().phase(n);
        assert_eq!(phase(2000), Phase { c2s: false, s2c: false, aff: false, propagated: false });
        assert_eq!(phase(2001), Phase { c2s: true, s2c: true, aff: true, propagated: false });
        assert!(!phase(3999).propagated && phase(4000).propagated);
        let mut config = Config::default();
        config.lambda = [0.0, 0.1, 0.0];
        let only_s2c = Phase { c2s: false, s2c: true, aff: false, propagated: false };
        assert_eq!(Schedule::new(&config).phase(2001), only_s2c);
        assert_eq!(voc().weights(phase(2000)), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(voc().weights(phase(2001)), [1.0, 0.7, 0.1, 0.1]);
    }

    /// Protects: the groups, which the official release decides by substrings (spec 7.2, 13.48).
    #[test]
    fn groups_follow_names() {
        for (name, group) in [
            ("encoder.block1.0.attn.q.weight", Group::Encoder),
            ("encoder.block1.0.attn.norm.bias", Group::Norm),
            ("encoder.patch_embed2.norm.weight", Group::Norm),
            ("classifier.weight", Group::Head),
            ("attn_proj.bias", Group::Head),
            ("decoder.linear_fuse.bn.weight", Group::Decoder),
        ] {
            assert_eq!(group_of(name), group, "{name}");
        }
    }

    /// Protects: the first step after warm-up with zero gradients moves by 2.9412 rates (spec 16).
    #[test]
    fn bias_correction_counts_zero_gradient_steps() {
        let mut config = Config::default();
        config.optim_lr = 1.0;
        let [_, _, first, second] = Schedule::new(&config).hyper(Group::Encoder, 2001);
        let step = (0.1 / first) / ((0.001_f64).sqrt() / second);
        assert!((step - 2.9412).abs() < 1e-4, "{step}");
    }
}
