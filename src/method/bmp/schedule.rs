//! Which parts of BMP are active in a step, and the weights of its losses (method.md 6.6).

use crate::config::Config;
use crate::method::phase::Phase;

/// Y_c supervises the segmentation branch.
pub const C2S: &str = "c2s";
/// Y_s supervises the classification branch.
pub const S2C: &str = "s2c";
/// The affinity loss is active.
pub const AFF: &str = "aff";
/// Y_c comes from propagation instead of fixed thresholds.
pub const BSP: &str = "bsp";

/// The phase of the zero-based step `n` of a run that `propagates`: warm-ups include their last step, propagation
/// starts at its own. Losses of weight 0 never begin.
pub fn phase(config: &Config, n: usize, propagates: bool) -> Phase {
    let [c2s, s2c, aff] = config.lambda.map(|weight| weight > 0.0);
    let begun = n > config.schedule_n_c2s;
    let parts = [
        (C2S, begun && c2s),
        (S2C, begun && s2c && n > config.schedule_n_s2c),
        (AFF, begun && aff),
        (BSP, propagates && n >= config.schedule_n_bsp),
    ];
    parts.into_iter().filter_map(|(part, on)| on.then_some(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: `≤` for loss warm-ups, `≥` for propagation, zero-based (method.md 6.6, 13.31).
    #[test]
    fn phases_switch_at_the_right_step() {
        let voc = |n| phase(&Config::default(), n, true);
        let of = |parts: &[&'static str]| parts.iter().copied().collect::<Phase>();
        assert_eq!(voc(2000), of(&[]));
        assert_eq!(voc(2001), of(&[C2S, S2C, AFF]));
        assert!(!voc(3999).has(BSP) && voc(4000).has(BSP));
        assert!(!phase(&Config::default(), 4000, false).has(BSP));
        let mut config = Config::default();
        config.lambda = [0.0, 0.1, 0.0];
        assert_eq!(phase(&config, 2001, true), of(&[S2C]));
    }
}
