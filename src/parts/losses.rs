//! The four losses (method.md 6). Pixel and pair losses are normalised per replica group and averaged over the groups;
//! an empty mask gives 0 with zero gradient and is counted.

use crate::config::LossKind;
use crate::engine::graph::Tensor;
use crate::error::{Error, Result};

/// L_cls: multi-label soft margin of logits \[B, K\] against multi-hot tags (method.md 0.3).
///
/// # Errors
/// If the shapes differ.
pub fn classification_loss(logits: &Tensor, tags: &Tensor) -> Result<Tensor> {
    // −[t·logσ(x) + (1 − t)·logσ(−x)] = (1 − t)·x − logσ(x), since logσ(−x) = logσ(x) − x.
    tags.neg()?.offset(1.0)?.mul(logits)?.sub(&logits.log_sigmoid()?)?.mean_all()
}

/// [`classification_loss`] in which present tags have the weight `positive` and absent ones 1.
///
/// # Errors
/// If the shapes differ.
pub fn weighted_classification_loss(logits: &Tensor, tags: &Tensor, positive: f64) -> Result<Tensor> {
    if positive == 1.0 {
        return classification_loss(logits, tags);
    }
    // −[w·t·logσ(x) + (1 − t)·logσ(−x)] = (1 − t)·x − (1 + (w − 1)·t)·logσ(x).
    let weight = tags.scale(positive - 1.0)?.offset(1.0)?;
    tags.neg()?.offset(1.0)?.mul(logits)?.sub(&logits.log_sigmoid()?.mul(&weight)?)?.mean_all()
}

/// L_c2s: loss of seg \[B, K + 1, h, w\], interpolated, at the pixels that Y_c \[B, H, W\] labels, mean over the pixels
/// of each group of `replica` images (method.md 6.2). Returns the loss and the number of empty groups.
///
/// # Errors
/// If the shapes do not fit.
pub fn c2s_loss(seg: &Tensor, y_c: &Tensor, kind: LossKind, replica: usize) -> Result<(Tensor, Tensor)> {
    masked_mean(&pixel_loss(seg, y_c, 0, kind)?, y_c, replica)
}

/// L_s2c: loss of map \[B, C, h, w\], interpolated, over its classes at the pixels that Y_s \[B, H, W\] labels
/// (method.md
/// 6.4). Channel 0 is class `first`: 1 for seeds, 0 for a map with background. Gives the loss and the number of empty
/// groups.
///
/// # Errors
/// If the shapes do not fit.
pub fn s2c_loss(map: &Tensor, y_s: &Tensor, first: usize, kind: LossKind, replica: usize) -> Result<(Tensor, Tensor)> {
    masked_mean(&pixel_loss(map, y_s, first, kind)?, y_s, replica)
}

/// Loss of every pixel \[B, H, W\]: one-against-all margin averaged over the channels, or softmax cross-entropy; class
/// `first` is channel 0.
pub(crate) fn pixel_loss(logits: &Tensor, label: &Tensor, first: usize, kind: LossKind) -> Result<Tensor> {
    let label = label.to_integer()?;
    match kind {
        LossKind::Bce => {
            let [_, channels, ..]: [usize; 4] = logits.extents()?;
            logits.margin_map(&label, first)?.scale(1.0 / channels as f64)
        }
        LossKind::Ce => logits.cross_entropy_map(&label, first),
    }
}

/// The groups of `replica` images in a label of three axes, and the elements of each.
fn groups(label: &Tensor, replica: usize) -> Result<[usize; 2]> {
    let [batch, ..]: [usize; 3] = label.extents()?;
    match batch.checked_div(replica) {
        None | Some(0) => Err(Error::Graph(format!("{label:?} contains no group of {replica} images"))),
        Some(groups) => Ok([groups, label.shape().len() / groups]),
    }
}

/// Mean of `map`, which is 0 at ignored pixels, over the labelled pixels of every group, averaged over the groups; and
/// the number of groups without such a pixel.
pub(crate) fn masked_mean(map: &Tensor, label: &Tensor, replica: usize) -> Result<(Tensor, Tensor)> {
    let rows = groups(label, replica)?;
    let graph = map.graph();
    let (zero, one) = (graph.scalar(0.0), graph.scalar(1.0));
    let count = graph.scalar(255.0).greater(label)?.reshape(rows)?.sum_keep(1)?;
    let mean = map.reshape(rows)?.sum_keep(1)?.div(&count.maximum(&one)?)?;
    Ok((mean.mean_all()?, count.equal(&zero)?.sum_all()?))
}

/// L_aff: pairs labelled 1 should have affinity 1, pairs labelled 0 affinity 0; both counts are raised by one
/// (method.md
/// 6.3). affinity and label \[B, N, N\].
///
/// # Errors
/// If the shapes differ.
pub fn affinity_loss(affinity: &Tensor, label: &Tensor, replica: usize) -> Result<Tensor> {
    let rows = groups(label, replica)?;
    let graph = affinity.graph();
    let positive = label.equal(&graph.scalar(1.0))?;
    let negative = label.equal(&graph.scalar(0.0))?;
    let mean = |error: &Tensor, pairs: &Tensor| {
        let count = pairs.reshape(rows)?.sum_keep(1)?.offset(1.0)?;
        error.mul(pairs)?.reshape(rows)?.sum_keep(1)?.div(&count)
    };
    let loss = mean(&affinity.neg()?.offset(1.0)?, &positive)?.add(&mean(affinity, &negative)?)?;
    loss.scale(0.5)?.mean_all()
}
