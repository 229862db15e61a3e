//! SegFormer: the segmentation branch learns from true masks, the classification branch from tags. An upper bound: what
//! supervision by masks reaches.

use std::ops::Range;

use super::definition::{Method, TrainPass};
use super::losses::{EmptyCount, LossTerm, Losses, Objective, of_images};
use super::maps::{AFA, CAM, MapInfo, MapPass, PAR, SEED};
use super::phase::Phase;
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::parts::losses::{c2s_loss, weighted_classification_loss};
use crate::parts::network::Outputs;

/// The part that begins after `schedule.n_c2s`: the loss of the segmentation branch.
const SEG: &str = "seg";

/// Training with masks.
#[derive(Clone, Copy, Debug)]
pub struct Segformer;

impl Method for Segformer {
    fn name(&self) -> &str {
        "segformer"
    }

    fn needs_masks(&self) -> bool {
        true
    }

    fn phase(&self, config: &Config, step: usize) -> Phase {
        let [weight, ..] = config.lambda;
        (weight > 0.0 && step > config.schedule_n_c2s).then_some(SEG).into_iter().collect()
    }

    fn record(&self, pass: &TrainPass<'_>) -> Result<Objective> {
        let (config, tags) = (pass.config.clone(), pass.inputs.tags.clone());
        let ([weight, ..], on) = (config.lambda, pass.phase.has(SEG));
        let label = pass.inputs.masks.to_real()?;
        let maps = vec![("masks", label.clone())];
        let of_some = move |outputs: &Outputs, images: &Range<usize>| {
            let (label, tags) = (of_images(&label, images)?, of_images(&tags, images)?);
            let replica = config.loss_replica_size.min(images.len());
            let (seg, empty) = c2s_loss(&outputs.seg_small, &label, config.c2s_kind, replica)?;
            let cls = weighted_classification_loss(&outputs.cls, &tags, config.cls_pos_weight)?;
            Ok(Losses {
                terms: vec![LossTerm::new("cls", cls, 1.0), LossTerm::new(SEG, seg, weight).when(on)],
                empty: vec![EmptyCount { name: SEG, value: empty, on }],
            })
        };
        Ok(Objective { maps, losses: Box::new(of_some) })
    }

    fn maps(&self) -> &[MapInfo] {
        &[SEED, CAM, PAR, AFA]
    }

    fn record_maps(&self, pass: &MapPass<'_>) -> Result<Vec<(&'static str, Tensor)>> {
        pass.seed_maps()
    }
}
