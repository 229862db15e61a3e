//! The pseudo labels of BMP (method.md 4 and 5): Y_par, the propagated label, Y_c and Y_s, and the maps that they are
//! computed from.

use std::ops::Range;

use super::schedule::BSP;
use crate::config::{BspBackground, Config, Fuse, YsSource};
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::method::definition::{Sizes, TrainPass};
use crate::parts::batch_parts::{over_parts, parts, together};
use crate::parts::labels::{Confidence, label_from_map, only_tagged, segmentation_label};
use crate::parts::propagation::{Scene, fixed_threshold_label, propagate_with_background};
use crate::parts::seeds::{MultiScale, normalise_map};
use crate::parts::walk::{Walk, walked_label};

/// How seeds become Y_c once propagation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spreading {
    /// By refinement with the segmentation branch's background (method.md 4.5).
    Background,
    /// By a random walk along the predicted affinity (method.md 4.6).
    Walk,
}

/// Labels of a step, real-valued integers \[B, S, S\] with 255 = ignore, and the propagation of seed logits.
pub(super) struct Labels {
    /// Seeds in slots, \[B, S, S, P\].
    pub(super) seeds: Tensor,
    /// Y_par, from fixed thresholds.
    pub(super) y_par: Tensor,
    /// The label from propagated scores, whether or not it is in use yet.
    pub(super) propagated: Tensor,
    /// The one of the two that supervises the segmentation branch.
    pub(super) y_c: Tensor,
    /// Supervises the classification branch.
    pub(super) y_s: Tensor,
    /// Scores of background, \[B, 1, S, S\].
    pub(super) background: Tensor,
    /// The scene that seeds are propagated over.
    pub(super) scene: Scene,
}

impl Labels {
    /// Those of some images of the batch.
    pub(super) fn of(&self, images: &Range<usize>) -> Result<Self> {
        let of = |label: &Tensor| label.slice(0, images.clone());
        Ok(Labels {
            seeds: of(&self.seeds)?,
            y_par: of(&self.y_par)?,
            propagated: of(&self.propagated)?,
            y_c: of(&self.y_c)?,
            y_s: of(&self.y_s)?,
            background: of(&self.background)?,
            scene: self.scene.of(images.clone())?,
        })
    }
}

/// Records all labels of a step: passes over scales and mirror images, propagation, thresholds.
pub(super) fn labels(pass: &TrainPass<'_>, spreading: Spreading) -> Result<Labels> {
    let TrainPass { config, network, inputs, outputs, .. } = pass;
    let Sizes { batch, crop, slots } = pass.sizes;
    let (graph, classes) = (inputs.tags.graph(), network.config().classes);
    graph.begin("multi-scale");
    let scales = pass.multi_scale()?;

    let background = match config.bsp_bg {
        BspBackground::MultiScale => scales.scores(0..batch, 0..1)?,
        BspBackground::SingleScale => normalise_map(&outputs.seg_small.slice(1, 0..1)?.resize(crop, false)?)?,
    };
    let background = background.detach()?;
    let scene = pass.scene()?;
    let (mut seeds, mut y_par, mut propagated) = (Vec::new(), Vec::new(), Vec::new());
    for images in parts(batch, 4 * scales.widest(slots)) {
        let (scene, background) = (scene.of(images.clone())?, background.slice(0, images.clone())?);
        let [of_images, fixed, spread] = from_seeds(config, &scales, &scene, &background, images, spreading)?;
        seeds.push(of_images);
        y_par.push(fixed);
        propagated.push(spread);
    }
    let (y_par, propagated) = (together(&y_par)?, together(&propagated)?);
    graph.begin("labels");
    let (confidence, first) = (Confidence::new(config), config.s2c_map.first_class());
    let mut y_s = over_parts(batch, 4 * scales.widest(classes), |images| {
        let logits = match config.ys_source {
            YsSource::TrainPass => outputs.seg_small.slice(0, images.clone())?,
            YsSource::MultiScale => {
                scales.logits(images.clone(), 0..classes, Fuse::Sum)?.scale(1.0 / scales.passes.len() as f64)?
            }
        };
        segmentation_label(&logits, &scene.picture_box.of(images)?, config.sigma_s, confidence, first)
    })?;
    if config.ys_filter_by_labels {
        y_s = only_tagged(&y_s, &inputs.tags)?;
    }
    let y_c = if pass.phase.has(BSP) { propagated.clone() } else { y_par.clone() };

    // The passes without gradient come first, so that their memory is free when the differentiable one begins.
    y_c.hoist();
    y_par.hoist();
    background.hoist();
    Ok(Labels { seeds: together(&seeds)?, y_par, propagated, y_c, y_s, background, scene })
}

/// Seeds of `images`, Y_par and the propagated label (method.md 4.4 to 4.6); scene and background are those of these
/// images.
fn from_seeds(
    config: &Config,
    scales: &MultiScale,
    scene: &Scene,
    background: &Tensor,
    images: Range<usize>,
    spreading: Spreading,
) -> Result<[Tensor; 3]> {
    let (graph, thresholds) = (scene.picture.graph(), [config.cam_low, config.cam_high]);
    graph.begin("multi-scale");
    let seeds = scales.seeds(images.clone(), &scene.classes)?;
    graph.begin("PAR");
    let fixed = fixed_threshold_label(&seeds, scene, thresholds)?;
    graph.begin("BSP");
    let propagated = match spreading {
        Spreading::Walk => {
            let (affinity, grid) = scales.largest().affinity(images)?;
            walked_label(&seeds, &affinity, grid, scene, &Walk::new(config.aff_radius), thresholds)?.label
        }
        Spreading::Background => {
            // PAR's weights sum to 1 + w2, so that scores grow by that factor per iteration.
            let gain = (1.0 + config.par_w2).powi(config.par_iters as i32);
            let sigma_c = config.sigma_c * if config.sigma_c_renormalise { gain } else { 1.0 };
            label_from_map(&propagate_with_background(&seeds, background, scene)?, scene, Some(sigma_c))?
        }
    };
    Ok([seeds, fixed.label, propagated])
}
