//! Groups of parameters that share a learning rate (method.md 7.2).

use crate::config::Config;
use crate::parts::encoders::{Encoder, SCOPE};

/// Parameters that share options of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Its learning rate, as a multiple of `optim.lr`.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Whether it is trained; a frozen group needs no gradient.
    pub trains: bool,
}

/// Weights and biases of the encoder except its norms.
pub const ENCODER: &str = "encoder";
/// Norms of the encoder.
pub const NORM: &str = "norm";
/// Classifier and affinity head.
pub const HEAD: &str = "head";
/// The decoder, including its batch norm.
pub const DECODER: &str = "decoder";

/// The four groups of the official optimiser, in its order.
pub fn official_groups(config: &Config) -> Vec<Group> {
    let decay = config.optim_weight_decay;
    let (norms, heads) = (config.optim_norm_lr_factor, config.optim_head_factor);
    vec![
        Group { name: ENCODER, rate: 1.0, decay, trains: true },
        Group { name: NORM, rate: norms, decay: 0.0, trains: norms > 0.0 },
        Group { name: HEAD, rate: heads, decay, trains: true },
        Group { name: DECODER, rate: heads, decay, trains: true },
    ]
}

/// The official group of a parameter, by its name: the encoder decides which of its parameters are norms.
pub fn official_group_of(parameter: &str, encoder: &dyn Encoder) -> &'static str {
    match parameter.split('.').next() {
        Some(SCOPE) if encoder.is_norm(parameter) => NORM,
        Some(SCOPE) => ENCODER,
        Some("decoder") => DECODER,
        _ => HEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::encoders::find;

    /// Protects: the groups, which the official release decides by substrings (method.md 7.2, 13.48).
    #[test]
    fn groups_follow_names() {
        let encoder = find(&Config::default()).unwrap();
        for (name, group) in [
            ("encoder.block1.0.attn.q.weight", ENCODER),
            ("encoder.block1.0.attn.norm.bias", NORM),
            ("encoder.patch_embed2.norm.weight", NORM),
            ("classifier.weight", HEAD),
            ("attn_proj.bias", HEAD),
            ("decoder.linear_fuse.bn.weight", DECODER),
        ] {
            assert_eq!(official_group_of(name, &*encoder), group, "{name}");
        }
        let mut config = Config::default();
        config.set("model.backbone=efficientnet_lite0").unwrap();
        let encoder = find(&config).unwrap();
        for (name, group) in [
            ("encoder._bn0.weight", NORM),
            ("encoder._blocks.3._bn2.bias", NORM),
            ("encoder._conv_stem.weight", ENCODER),
            ("encoder._blocks.3._depthwise_conv.weight", ENCODER),
            ("decoder.linear_fuse.bn.weight", DECODER),
        ] {
            assert_eq!(official_group_of(name, &*encoder), group, "{name}");
        }
    }
}
