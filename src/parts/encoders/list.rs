//! The encoders that a configuration can name.

use std::sync::Arc;

use super::efficientnet_lite::{LITE0, LITE1, LITE2};
use super::encoder::Encoder;
use super::mit;
use super::names::NamesElsewhere;
use crate::config::Config;
use crate::error::{Error, Result};

/// Makes the encoder of a configuration.
pub type Open = fn(&Config) -> Arc<dyn Encoder>;

/// Every encoder by its name in the option `model.backbone`.
pub static ENCODERS: &[(&str, Open)] = &[
    (mit::B0.name, |config| mit::B0.open(config)),
    (mit::B1.name, |config| mit::B1.open(config)),
    (mit::B2.name, |config| mit::B2.open(config)),
    (mit::B3.name, |config| mit::B3.open(config)),
    (mit::B4.name, |config| mit::B4.open(config)),
    (mit::B5.name, |config| mit::B5.open(config)),
    (mit::NANO.name, |config| mit::NANO.open(config)),
    (LITE0.name, |_| LITE0.open()),
    (LITE1.name, |_| LITE1.open()),
    (LITE2.name, |_| LITE2.open()),
];

/// The encoder that a configuration names.
///
/// # Errors
/// [`Error::Config`] with all names if it is unknown.
pub fn find(config: &Config) -> Result<Arc<dyn Encoder>> {
    let name = &config.model_backbone;
    match ENCODERS.iter().find(|(known, _)| known == name) {
        Some((_, open)) => Ok(open(config)),
        None => {
            let names: Vec<_> = ENCODERS.iter().map(|(name, _)| *name).collect();
            let reason = format!("unknown encoder `{name}`");
            Err(Error::config("model.backbone", reason, format!("choose one of {}", names.join(", "))))
        }
    }
}

/// Checks that a configuration is valid for an encoder: its own options, and the constraints of its strides and its
/// smallest side.
///
/// # Errors
/// [`Error::Config`] for the first invalid option.
pub fn check(config: &Config, encoder: &dyn Encoder) -> Result<()> {
    encoder.check(config)?;
    let levels = encoder.levels().len();
    if config.model_frozen_levels > levels {
        let reason = format!("encoder `{}` has only {levels} levels", encoder.name());
        return Err(Error::config("model.frozen_levels", reason, format!("use at most {levels}")));
    }
    let cell = encoder.levels().last().map_or(1, |level| level.stride);
    if !config.train_crop.is_multiple_of(cell) {
        let lower = config.train_crop / cell * cell;
        let near = if lower == 0 { cell.to_string() } else { format!("{lower} or {}", lower + cell) };
        let reason =
            format!("{} is not a multiple of {cell}, the stride of the encoder's last level", config.train_crop);
        return Err(Error::config("train.crop", reason, format!("use {near}")));
    }
    let needed = encoder.smallest_side();
    let smallest_scale = config.ms_scales.iter().copied().fold(1.0, f64::min);
    let smallest_side = (smallest_scale * config.train_crop as f64) as usize;
    if smallest_side < needed {
        let reason =
            format!("at scale {smallest_scale} only {smallest_side} pixels remain, but the encoder needs {needed}");
        return Err(Error::config("train.crop", reason, "use a larger crop or larger ms.scales"));
    }
    let smallest_scale = config.test_scales.iter().copied().fold(1.0, f64::min);
    let needed = (needed as f64 / smallest_scale).ceil() as usize;
    if (1..needed).contains(&config.test_long_side) {
        let reason = format!("{} is too small for the encoder at scale {smallest_scale}", config.test_long_side);
        return Err(Error::config("test.long_side", reason, format!("use at least {needed}, or larger test.scales")));
    }
    Ok(())
}

/// All lists of foreign names of encoders' modules, without duplicates.
pub fn names_elsewhere() -> Vec<&'static NamesElsewhere> {
    let mut all: Vec<&NamesElsewhere> = Vec::new();
    for names in each().iter().flat_map(|encoder| encoder.names_elsewhere()) {
        if !all.iter().any(|known| std::ptr::eq(*known, names)) {
            all.push(names);
        }
    }
    all
}

/// The name of the encoder that tensors belong to, given by native names with their shapes: its name if it is listed.
pub fn recognise(tensors: &[(&str, &[usize])]) -> Option<String> {
    let found: Vec<_> = each().iter().filter_map(|encoder| encoder.recognise(tensors)).collect();
    found.iter().find(|name| is_listed(name)).or(found.first()).cloned()
}

/// Whether an encoder of this name is listed.
pub fn is_listed(name: &str) -> bool {
    ENCODERS.iter().any(|(known, _)| *known == name)
}

/// Every encoder, with default options.
fn each() -> Vec<Arc<dyn Encoder>> {
    let config = Config::default();
    ENCODERS.iter().map(|(_, open)| open(&config)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::{DType, Graph};
    use crate::engine::nn::{Mode, Scope};
    use crate::parts::encoders::encoder::{LevelSize, SCOPE};

    /// Protects: the row of every listed encoder — channels and strides of its levels, heads of its scores, the
    /// smallest side — and that its recording matches them.
    #[test]
    fn encoders_record_what_they_say() {
        let small = [(32, 4), (64, 8), (160, 16), (256, 16)];
        let large = [(64, 4), (128, 8), (320, 16), (512, 16)];
        let lite = [(24, 4), (40, 8), (112, 16), (320, 16)];
        let rows = [
            ("mit_b0", small, &[8, 8][..], 29),
            ("mit_b1", large, &[8, 8], 29),
            ("mit_b2", large, &[8, 8], 29),
            ("mit_b3", large, &[8, 8], 29),
            ("mit_b4", large, &[8, 8], 29),
            ("mit_b5", large, &[8, 8], 29),
            ("nano", [(16, 4), (32, 8), (64, 16), (96, 16)], &[8, 8], 29),
            ("efficientnet_lite0", lite, &[], 1),
            ("efficientnet_lite1", lite, &[], 1),
            ("efficientnet_lite2", [(24, 4), (48, 8), (120, 16), (352, 16)], &[], 1),
        ];
        assert_eq!(rows.map(|row| row.0)[..], ENCODERS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, levels, heads, smallest) in rows {
            let mut config = Config::default();
            config.set(&format!("model.backbone={name}")).unwrap();
            let encoder = find(&config).unwrap();
            check(&config, &*encoder).unwrap();
            assert_eq!((encoder.name(), encoder.smallest_side()), (name, smallest));
            assert_eq!(encoder.levels(), levels.map(|(channels, stride)| LevelSize { channels, stride }));
            assert_eq!(encoder.score_heads(), heads);

            let graph = Graph::new();
            let scope = Scope::root(&graph).at(SCOPE);
            let image = graph.input("image", [2, 64, 96, 3], DType::F32);
            let features = encoder.record(&scope).unwrap().forward(&image, &Mode::Eval).unwrap();
            assert_eq!(features.levels.len(), levels.len());
            for (level, (channels, stride)) in features.levels.iter().zip(levels) {
                assert_eq!(level.map().unwrap().shape()[..], [2, 64 / stride, 96 / stride, channels], "{name}");
            }
            assert_eq!(features.scores.len(), heads.len());
            let tokens = features.levels[3].grid.tokens();
            for (scores, heads) in features.scores.iter().zip(heads) {
                assert_eq!(scores.raw().unwrap().shape()[..], [2, *heads, tokens, tokens], "{name}");
            }
            let parameters = scope.parameters();
            let shapes: Vec<_> = parameters.iter().map(|own| (&own.name[..], &own.shape[..])).collect();
            assert_eq!(recognise(&shapes).as_deref(), Some(name));
        }
    }
}
