//! The step of BMP, with either propagation of seeds: labels, losses, and the maps of images with known tags.

use std::ops::Range;

use super::labels::{Labels, Spreading, labels};
use super::losses::{LossSetting, losses};
use crate::config::{Config, Propagation};
use crate::engine::graph::Tensor;
use crate::error::{Error, Result};
use crate::method::definition::TrainPass;
use crate::method::losses::{Objective, of_images};
use crate::method::maps::{AFA, CAM, MapInfo, MapPass, PAR, SEED};
use crate::parts::encoders::Encoder;
use crate::parts::network::Outputs;
use crate::parts::propagation::{fixed_threshold_label, propagate_with_background};
use crate::parts::walk::{Walk, walked_label};

/// The label that supervises the segmentation branch, every pixel labelled.
const Y_C: MapInfo = MapInfo::labels("y_c", "Y_c").headline().pictured().written("y_c");
/// The label that supervises the classification branch.
const Y_S: MapInfo = MapInfo::labels("y_s", "Y_s").pictured();

/// The maps of images with known tags.
pub static MAPS: [MapInfo; 6] = [SEED, CAM, PAR, AFA, Y_C, Y_S];

/// Refuses an affinity loss for an encoder without attention scores.
pub(crate) fn check(config: &Config, encoder: &dyn Encoder) -> Result<()> {
    let [.., weight] = config.lambda;
    if weight > 0.0 && encoder.score_heads().is_empty() {
        let name = encoder.name();
        let reason = format!("the affinity loss has weight {weight}, but encoder `{name}` has no attention scores");
        return Err(Error::config("lambda", reason, "set its third entry to 0, or choose a MiT encoder"));
    }
    Ok(())
}

/// Records the labels of a step, and returns its losses.
pub(crate) fn record(pass: &TrainPass<'_>, spreading: Spreading) -> Result<Objective> {
    let labels = labels(pass, spreading)?;
    let setting =
        LossSetting { config: pass.config.clone(), phase: pass.phase.clone(), cell: pass.network.config().cell() };
    let Labels { seeds, y_par, propagated, y_c, y_s, background, .. } = &labels;
    let maps = [
        ("seeds", seeds),
        ("background", background),
        ("y_par", y_par),
        ("propagated", propagated),
        ("y_c", y_c),
        ("y_s", y_s),
    ];
    let maps = maps.map(|(name, map)| (name, map.clone())).to_vec();
    let (batch, tags) = (pass.sizes.batch, pass.inputs.tags.clone());
    let of_some = move |outputs: &Outputs, images: &Range<usize>| {
        let own = of_images(&tags, images)?;
        match images.len() == batch {
            true => losses(&setting, outputs, &labels, &own),
            false => losses(&setting, outputs, &labels.of(images)?, &own),
        }
    };
    Ok(Objective { maps, losses: Box::new(of_some) })
}

/// Records [`MAPS`].
pub(crate) fn record_maps(pass: &MapPass<'_>, spreading: Spreading) -> Result<Vec<(&'static str, Tensor)>> {
    let mut maps = pass.seed_maps()?;
    maps.push((Y_C.name, pass.label_of(&propagated_scores(pass, spreading)?)?));
    maps.push((Y_S.name, pass.confident_label(pass.config.s2c_map.first_class())?));
    Ok(maps)
}

/// The scores that Y_c of whole pictures is the arg-max of, in slots \[B, h, w, P\], propagated as in training.
fn propagated_scores(pass: &MapPass<'_>, spreading: Spreading) -> Result<Tensor> {
    let MapPass { config, scales, scene, seeds, .. } = pass;
    // With one background instead of two, no pixel is undecided.
    let thresholds = [config.cam_bkg; 2];
    match (spreading, config.propagation) {
        (Spreading::Walk, _) => {
            let (affinity, grid) = scales.at_scale_1().affinity(0..seeds.shape()[0])?;
            let walk = Walk::new(config.aff_radius);
            let [_, high] = walked_label(seeds, &affinity, grid, scene, &walk, thresholds)?.refined;
            Ok(high)
        }
        (_, Propagation::Bsp) => {
            let background = scales.scores(0..seeds.shape()[0], 0..1)?;
            propagate_with_background(seeds, &background, scene)
        }
        (_, Propagation::Par) => Ok(fixed_threshold_label(seeds, scene, thresholds)?.high),
    }
}
