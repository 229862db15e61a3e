//! The four losses of BMP (method.md 6).

use std::ops::Range;

use super::labels::Labels;
use super::schedule::{AFF, C2S, S2C};
use crate::config::{AffLabel, Config, S2cMap};
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::method::losses::{EmptyCount, LossTerm, Losses};
use crate::method::phase::Phase;
use crate::parts::affinity::affinity_label;
use crate::parts::batch_parts::over_parts;
use crate::parts::losses::{affinity_loss, c2s_loss, masked_mean, pixel_loss, weighted_classification_loss};
use crate::parts::network::Outputs;
use crate::parts::propagation::propagated_map;

/// Inputs of the losses of some images other than their outputs, labels and tags.
pub(super) struct LossSetting {
    pub(super) config: Config,
    pub(super) phase: Phase,
    /// Side, in pixels, of a cell of the affinity's grid.
    pub(super) cell: usize,
}

/// All losses of a pass over some images, with `labels` and `tags` \[B, K\] of these images. The affinity loss is
/// included if the network predicts an affinity.
pub(super) fn losses(setting: &LossSetting, outputs: &Outputs, labels: &Labels, tags: &Tensor) -> Result<Losses> {
    let LossSetting { config, phase, cell } = setting;
    let replica = config.loss_replica_size.min(tags.shape()[0]);
    let (c2s, c2s_empty) = c2s_loss(&outputs.seg_small, &labels.y_c, config.c2s_kind, replica)?;
    let pixels = |map: &Tensor, y_s: &Tensor| pixel_loss(map, y_s, config.s2c_map.first_class(), config.s2c_kind);
    let pixels = match config.s2c_map {
        S2cMap::CamLogits => pixels(&outputs.cam_small, &labels.y_s)?,
        S2cMap::Propagated => {
            let [batch, height, width]: [usize; 3] = labels.y_s.extents()?;
            let [_, foreground, ..]: [usize; 4] = outputs.cam_small.extents()?;
            over_parts(batch, 4 * (foreground + 1) * height * width, |images: Range<usize>| {
                let of = |tensor: &Tensor| tensor.slice(0, images.clone());
                let (scene, background) = (labels.scene.of(images.clone())?, of(&labels.background)?);
                let map = propagated_map(&of(&outputs.cam_small)?, &background, &scene)?;
                pixels(&map, &of(&labels.y_s)?)
            })?
        }
    };
    let (s2c, s2c_empty) = masked_mean(&pixels, &labels.y_s, replica)?;
    let agreeing = match config.aff_label {
        AffLabel::YPar => &labels.y_par,
        AffLabel::YC => &labels.y_c,
    };
    let aff = outputs.affinity.as_ref().map(|affinity| {
        let pairs = affinity_label(agreeing, *cell, config.aff_radius)?;
        affinity_loss(affinity, &pairs, replica)
    });
    let cls = weighted_classification_loss(&outputs.cls, tags, config.cls_pos_weight)?;
    let [c2s_weight, s2c_weight, aff_weight] = config.lambda;
    let mut terms = vec![
        LossTerm::new("cls", cls, 1.0),
        LossTerm::new(C2S, c2s, c2s_weight).when(phase.has(C2S)),
        LossTerm::new(S2C, s2c, s2c_weight).when(phase.has(S2C)),
    ];
    if let Some(aff) = aff {
        terms.push(LossTerm::new(AFF, aff?, aff_weight).when(phase.has(AFF)));
    }
    let empty = vec![
        EmptyCount { name: C2S, value: c2s_empty, on: phase.has(C2S) },
        EmptyCount { name: S2C, value: s2c_empty, on: phase.has(S2C) },
    ];
    Ok(Losses { terms, empty })
}
