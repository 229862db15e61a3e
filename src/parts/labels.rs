//! Pseudo labels: Y_c, Y_s and the affinity label (spec 5 and 6.3). Labels are real-valued integers, 255 = ignore.

use std::ops::Range;

use super::propagation::{Scene, best_class, first_slot, fixed_threshold_label};
use crate::config::{Config, LossKind, Propagation, SigmaSDomain};
use crate::engine::graph::{Graph, Tensor};
use crate::error::Result;
use crate::parts::propagation::PictureBox;
use crate::parts::seeds::MultiScale;
use crate::parts::walk::{Walk, walked_label};

/// 255 outside the box, the label inside.
///
/// # Errors
/// If the shapes do not fit.
pub fn inside_box(label: &Tensor, picture_box: &PictureBox) -> Result<Tensor> {
    picture_box.inside()?.select(label, &label.graph().scalar(255.0))
}

/// Y_c from propagated scores Z' in slots \[B, H, W, P\] (spec 5.2): the best class, ignored where its score is below
/// `sigma_c` and outside the box. Without `sigma_c` every pixel keeps its class.
///
/// # Errors
/// If the shapes do not fit.
pub fn label_from_map(
    scores: &Tensor,
    classes: &Tensor,
    picture_box: &PictureBox,
    sigma_c: Option<f64>,
) -> Result<Tensor> {
    let [batch, height, width, _] = scores.extents()?;
    let graph = scores.graph();
    let mut label = best_class(scores, classes)?.to_real()?;
    if let Some(sigma_c) = sigma_c {
        let best = scores.max_keep(3)?.reshape([batch, height, width])?;
        label = best.at_least(&graph.scalar(sigma_c))?.select(&label, &graph.scalar(255.0))?;
    }
    inside_box(&label, picture_box)?.detach()
}

/// Y_par of `images` and the label of the propagation that is configured (spec 4.4 to 4.6); `scene` is that of these
/// images.
pub(crate) fn pseudo_labels(
    config: &Config,
    scales: &MultiScale,
    scene: &Scene,
    images: Range<usize>,
) -> Result<[Tensor; 2]> {
    let Scene { picture, classes, picture_box, par, .. } = scene;
    let (graph, thresholds) = (picture.graph(), [config.cam_low, config.cam_high]);
    graph.begin("multi-scale");
    let seeds = scales.seeds(images.clone(), classes)?;
    graph.begin("PAR");
    let fixed = fixed_threshold_label(&seeds, picture, classes, picture_box, par, thresholds)?;
    graph.begin("BSP");
    let propagated = match config.propagation {
        Propagation::Afa => {
            let (affinity, grid) = scales.largest().affinity(images)?;
            let walk = Walk::new(config.aff_radius);
            walked_label(&seeds, &affinity, grid, picture, classes, picture_box, &walk, par, thresholds)?.label
        }
        _ => {
            // PAR's weights sum to 1 + w2, so that scores grow by that factor an iteration.
            let gain = (1.0 + config.par_w2).powi(config.par_iters as i32);
            let sigma_c = config.sigma_c * if config.sigma_c_renormalise { gain } else { 1.0 };
            label_from_map(&scene.propagate(&seeds)?, classes, picture_box, Some(sigma_c))?
        }
    };
    Ok([fixed.label, propagated])
}

/// What the confidence of a pixel in Y_s is compared with (spec 11, row 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Confidence {
    /// The best raw logit, as released.
    Logit,
    /// Its sigmoid.
    Sigmoid,
    /// The best class's share of the softmax.
    Softmax,
}

impl Confidence {
    /// The confidence of a configuration: a probability is that of the loss behind the logits.
    pub fn new(config: &Config) -> Self {
        match (config.sigma_s_domain, config.c2s_kind) {
            (SigmaSDomain::Logit, _) => Confidence::Logit,
            (SigmaSDomain::Prob, LossKind::Bce) => Confidence::Sigmoid,
            (SigmaSDomain::Prob, LossKind::Ce) => Confidence::Softmax,
        }
    }
}

/// Y_s from segmentation logits \[B, K + 1, h, w\], interpolated to the pixels of the crop (spec 5.3): the best class,
/// ignored where its confidence is below `sigma_s`, where it is below `first` (1 leaves out background), and outside the
/// box.
///
/// # Errors
/// If the shapes do not fit.
pub fn segmentation_label(
    seg: &Tensor,
    picture_box: &PictureBox,
    sigma_s: f64,
    confidence: Confidence,
    first: usize,
) -> Result<Tensor> {
    let seg = seg.detach()?.resize(picture_box.size(), false)?;
    let seg = match confidence {
        Confidence::Logit => seg,
        Confidence::Sigmoid => seg.sigmoid()?,
        Confidence::Softmax => seg.log_softmax(1)?.exp()?,
    };
    let [batch, _, height, width] = seg.extents()?;
    let flat = [batch, height, width];
    let graph = seg.graph();
    let class = seg.arg_max_keep(1)?.reshape(flat)?.to_real()?;
    let certain = seg.max_keep(1)?.reshape(flat)?.at_least(&graph.scalar(sigma_s))?;
    let supervised = class.at_least(&graph.scalar(first as f64))?;
    let label = certain.mul(&supervised)?.select(&class, &graph.scalar(255.0))?;
    inside_box(&label, picture_box)?.detach()
}

/// A label \[B, H, W\] without the classes that `tags` \[B, K\] do not name: they become 255.
///
/// # Errors
/// If the shapes do not fit.
pub fn only_tagged(label: &Tensor, tags: &Tensor) -> Result<Tensor> {
    let [batch, _] = tags.extents()?;
    let graph = label.graph();
    // Background is always allowed; 255 is looked up beyond the table, which gives its last entry, and stays 255.
    let allowed = Tensor::concat(&[&graph.full(1.0, [batch, 1])?, tags], 1)?.to_integer()?;
    let named = allowed.lookup(&label.to_integer()?)?.to_real()?;
    named.select(label, &graph.scalar(255.0))
}

/// Seeds as a label (spec 9.1): the best tagged class of `seeds` in slots \[B, H, W, P\], background where none exceeds
/// `background`. Integers \[B, H, W\].
///
/// # Errors
/// If the shapes do not fit.
pub fn seed_label(seeds: &Tensor, classes: &Tensor, background: f64) -> Result<Tensor> {
    // Ties go to the lowest slot, so background also wins where the best seed equals it.
    best_class(&seeds.add(&first_slot(classes)?.scale(background)?)?, classes)
}

/// Seeds as a label with a band of doubt (spec 5.4): the best tagged class of `seeds` in slots \[B, H, W, P\] where it
/// exceeds `high`, background where it does not exceed `low`, 255 between and outside the box.
///
/// # Errors
/// If the shapes do not fit.
pub fn banded_seed_label(
    seeds: &Tensor,
    classes: &Tensor,
    picture_box: &PictureBox,
    [low, high]: [f64; 2],
) -> Result<Tensor> {
    let above = |background: f64| seed_label(seeds, classes, background)?.to_real();
    let zero = seeds.graph().scalar(0.0);
    let (object, doubtful) = (above(high)?, above(low)?.greater(&zero)?);
    let label = object.greater(&zero)?.select(&object, &doubtful.scale(255.0)?)?;
    inside_box(&label, picture_box)
}

/// Affinity label from a label \[B, S, S\] (spec 6.3): \[B, N, N\] over the grid of cells of `cell` pixels a side (16 as
/// released); 1 where two cells agree, 0 where they differ, 255 where one is ignored or they are further apart than
/// `radius` (Chebyshev).
///
/// # Errors
/// If a side is below that of a cell.
pub fn affinity_label(label: &Tensor, cell: usize, radius: usize) -> Result<Tensor> {
    let [batch, height, width] = label.extents()?;
    let (rows, columns) = (height / cell, width / cell);
    let graph = label.graph();
    let label = nearest(&nearest(label, 1, rows)?, 2, columns)?;
    let tokens = rows * columns;
    let (first, second) = (label.reshape([batch, tokens, 1])?, label.reshape([batch, 1, tokens])?);

    let near = radius_mask(graph, [rows, columns], radius)?;
    let ignore = graph.scalar(255.0);
    let known = ignore.greater(&first)?.mul(&ignore.greater(&second)?)?.mul(&near)?;
    known.select(&first.equal(&second)?, &ignore)?.detach()
}

/// `axis` of a label \[B, H, W\] at `cells` samples (spec 0.2, nearest): the first pixel of every cell, the pixel 16i of
/// cells of 16.
fn nearest(label: &Tensor, axis: usize, cells: usize) -> Result<Tensor> {
    let mut shape = label.shape().to_vec();
    let pixels = shape[axis];
    if cells == 0 || !pixels.is_multiple_of(cells) {
        let pick = |cell: usize| label.slice(axis as isize, cell * pixels / cells..cell * pixels / cells + 1);
        let picked = (0..cells).map(pick).collect::<Result<Vec<_>>>()?;
        return Tensor::concat(&picked.iter().collect::<Vec<_>>(), axis as isize);
    }
    let (outer, inner): (usize, usize) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
    shape[axis] = cells;
    label.reshape([outer * cells, pixels / cells, inner])?.slice(1, 0..1)?.reshape(shape)
}

/// 1 where two cells of a grid of `[rows, columns]` are at most `radius` apart (Chebyshev), else 0: \[N, N\].
///
/// # Errors
/// Never for a grid with cells.
pub fn radius_mask(graph: &Graph, [rows, columns]: [usize; 2], radius: usize) -> Result<Tensor> {
    let tokens = rows * columns;
    let near = |of: fn(usize, usize) -> usize| {
        let along: Vec<_> = (0..tokens).map(|token| of(token, columns) as f64).collect();
        let (one, other) = (graph.constant(&along, [tokens, 1]), graph.constant(&along, [1, tokens]));
        graph.scalar(radius as f64).at_least(&one.sub(&other)?.abs()?)
    };
    near(|token, columns| token / columns)?.mul(&near(|token, columns| token % columns)?)
}
