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

/// The first levels of the encoder, if they are frozen.
pub const FROZEN: &str = "frozen";
/// Weights and biases of the encoder except its norms.
pub const ENCODER: &str = "encoder";
/// Norms of the encoder.
pub const NORM: &str = "norm";
/// Classifier and affinity head.
pub const HEAD: &str = "head";
/// The decoder, including its batch norm.
pub const DECODER: &str = "decoder";

/// The four groups of the official optimiser, in its order, and one of what `model.frozen_levels` freezes.
pub fn official_groups(config: &Config) -> Vec<Group> {
    let decay = config.optim_weight_decay;
    let (norms, heads) = (config.optim_norm_lr_factor, config.optim_head_factor);
    let frozen = Group { name: FROZEN, rate: 0.0, decay: 0.0, trains: false };
    let trained = [
        Group { name: ENCODER, rate: 1.0, decay, trains: true },
        Group { name: NORM, rate: norms, decay: 0.0, trains: norms > 0.0 },
        Group { name: HEAD, rate: heads * config.optim_classifier_factor, decay, trains: true },
        Group { name: DECODER, rate: heads, decay, trains: true },
    ];
    trained.into_iter().chain((config.model_frozen_levels > 0).then_some(frozen)).collect()
}

/// The official group of a parameter, by its name: the encoder decides which of its parameters are norms, and to which
/// level each belongs.
pub fn official_group_of(parameter: &str, encoder: &dyn Encoder, config: &Config) -> &'static str {
    match parameter.split('.').next() {
        Some(SCOPE) if encoder.level_of(parameter) < config.model_frozen_levels => FROZEN,
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
        let mut config = Config::default();
        let encoder = find(&config).unwrap();
        for (name, group) in [
            ("encoder.block1.0.attn.q.weight", ENCODER),
            ("encoder.block1.0.attn.norm.bias", NORM),
            ("encoder.patch_embed2.norm.weight", NORM),
            ("classifier.weight", HEAD),
            ("attn_proj.bias", HEAD),
            ("decoder.linear_fuse.bn.weight", DECODER),
        ] {
            assert_eq!(official_group_of(name, &*encoder, &config), group, "{name}");
        }
        config.set("model.backbone=efficientnet_lite0").unwrap();
        let encoder = find(&config).unwrap();
        for (name, group) in [
            ("encoder._bn0.weight", NORM),
            ("encoder._blocks.3._bn2.bias", NORM),
            ("encoder._conv_stem.weight", ENCODER),
            ("encoder._blocks.3._depthwise_conv.weight", ENCODER),
            ("decoder.linear_fuse.bn.weight", DECODER),
        ] {
            assert_eq!(official_group_of(name, &*encoder, &config), group, "{name}");
        }
    }

    /// Protects: frozen levels include their norms and everything before them, and nothing else; the group exists only
    /// if something is frozen, since each is a row of the optimiser's input.
    #[test]
    fn frozen_levels_follow_the_encoder() {
        let mut config = Config::default();
        assert!(official_groups(&config).iter().all(|group| group.name != FROZEN));
        config.set("model.frozen_levels=1").unwrap();
        assert!(official_groups(&config).iter().any(|group| group.name == FROZEN && !group.trains));
        let cases: [(&str, &[(&str, bool)]); 2] = [
            (
                "mit_b1",
                &[
                    ("encoder.patch_embed1.norm.weight", true),
                    ("encoder.block1.1.mlp.fc1.bias", true),
                    ("encoder.norm1.weight", true),
                    ("encoder.patch_embed2.proj.weight", false),
                    ("encoder.norm2.weight", false),
                    ("classifier.weight", false),
                ],
            ),
            (
                "efficientnet_lite0",
                &[
                    ("encoder._conv_stem.weight", true),
                    ("encoder._bn0.bias", true),
                    ("encoder._blocks.2._project_conv.weight", true),
                    ("encoder._blocks.3._expand_conv.weight", false),
                    ("encoder._blocks.15._bn2.weight", false),
                    ("decoder.linear_fuse.conv.weight", false),
                ],
            ),
        ];
        for (backbone, parameters) in cases {
            config.set(&format!("model.backbone={backbone}")).unwrap();
            let encoder = find(&config).unwrap();
            for (name, frozen) in parameters {
                assert_eq!(official_group_of(name, &*encoder, &config) == FROZEN, *frozen, "{name}");
            }
        }
    }
}
