//! Pseudo labels: Y_c and Y_s (method.md 5). Labels are real-valued integers, 255 = ignore.

use crate::config::{Config, LossKind, SigmaSDomain};
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::parts::propagation::{PictureBox, Scene, best_class, first_slot};

/// 255 outside the box, the label inside.
///
/// # Errors
/// If the shapes do not fit.
pub fn inside_box(label: &Tensor, picture_box: &PictureBox) -> Result<Tensor> {
    picture_box.inside()?.select(label, &label.graph().scalar(255.0))
}

/// Y_c from propagated scores Z' in slots \[B, H, W, P\] (method.md 5.2): the best class, ignored where its score is
/// below
/// `sigma_c` and outside the box. Without `sigma_c`, no pixel is ignored.
///
/// # Errors
/// If the shapes do not fit.
pub fn label_from_map(scores: &Tensor, scene: &Scene, sigma_c: Option<f64>) -> Result<Tensor> {
    let [batch, height, width, _] = scores.extents()?;
    let graph = scores.graph();
    let mut label = best_class(scores, &scene.classes)?.to_real()?;
    if let Some(sigma_c) = sigma_c {
        let best = scores.max_keep(3)?.reshape([batch, height, width])?;
        label = best.at_least(&graph.scalar(sigma_c))?.select(&label, &graph.scalar(255.0))?;
    }
    inside_box(&label, &scene.picture_box)?.detach()
}

/// The measure of a pixel's confidence in Y_s (method.md 11, row 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Confidence {
    /// The best raw logit, as released.
    Logit,
    /// Its sigmoid.
    Sigmoid,
    /// The largest softmax probability.
    Softmax,
}

impl Confidence {
    /// The confidence of a configuration: a probability is that of the loss that trains the logits.
    pub fn new(config: &Config) -> Self {
        match (config.sigma_s_domain, config.c2s_kind) {
            (SigmaSDomain::Logit, _) => Confidence::Logit,
            (SigmaSDomain::Prob, LossKind::Bce) => Confidence::Sigmoid,
            (SigmaSDomain::Prob, LossKind::Ce) => Confidence::Softmax,
        }
    }
}

/// Y_s from segmentation logits \[B, K + 1, h, w\], interpolated to the pixels of the crop (method.md 5.3): the best
/// class, ignored where its confidence is below `sigma_s`, where the class is below `first` (1 excludes background),
/// and outside the box.
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

/// A label \[B, H, W\] without the classes that are not in `tags` \[B, K\]: they become 255.
///
/// # Errors
/// If the shapes do not fit.
pub fn only_tagged(label: &Tensor, tags: &Tensor) -> Result<Tensor> {
    let [batch, _] = tags.extents()?;
    let graph = label.graph();
    // Background is always allowed; 255 is clamped to the last entry of the table, and stays 255.
    let allowed = Tensor::concat(&[&graph.full(1.0, [batch, 1])?, tags], 1)?.to_integer()?;
    let named = allowed.lookup(&label.to_integer()?)?.to_real()?;
    named.select(label, &graph.scalar(255.0))
}

/// Seeds as a label (method.md 9.1): the best tagged class of `seeds` in slots \[B, H, W, P\], background if none
/// exceeds
/// `background`. Integers \[B, H, W\].
///
/// # Errors
/// If the shapes do not fit.
pub fn seed_label(seeds: &Tensor, classes: &Tensor, background: f64) -> Result<Tensor> {
    // Ties go to the lowest slot, so background also wins where the best seed equals it.
    best_class(&seeds.add(&first_slot(classes)?.scale(background)?)?, classes)
}

/// Seeds as a label with undecided pixels (method.md 5.4): the best tagged class of `seeds` in slots \[B, H, W, P\]
/// where it exceeds `high`, background where it does not exceed `low`, 255 between and outside the box.
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
