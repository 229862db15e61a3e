//! Propagation of seeds by pixel-adaptive refinement: fixed thresholds (method.md 4.4) and with the segmentation
//! branch's background (method.md 4.5).
//!
//! Scores are stored in *slots*: slot p of image b holds class `classes[b, p]`, background first, unused slots are −1.
//! So only the classes that an image is tagged with are propagated.

use std::ops::Range;

use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::engine::ops::par;
use crate::error::Result;

/// The valid classes of every image (method.md 4.3), in the form used by the propagation.
#[derive(Clone, Debug, PartialEq)]
pub struct Slots {
    /// Slots per image, a multiple of 4.
    pub width: usize,
    /// Class ids \[B, width\], background first, ascending, then −1.
    pub classes: Vec<i32>,
}

impl Slots {
    /// Slots for images with up to `max_tags` tags: background and the tags, rounded up to a multiple of four.
    pub fn width_for(max_tags: usize) -> usize {
        (max_tags + 1).next_multiple_of(4)
    }

    /// The slots of images with multi-hot `tags` \[B, K\].
    pub fn new(tags: &[f32], foreground: usize, width: usize) -> Self {
        let mut classes = Vec::new();
        for image in tags.chunks(foreground.max(1)) {
            let tagged = image.iter().enumerate().filter(|(_, tag)| **tag > 0.5).map(|(class, _)| class as i32 + 1);
            let own: Vec<_> = std::iter::once(0).chain(tagged).chain(std::iter::repeat(-1)).take(width).collect();
            classes.extend(own);
        }
        Slots { width, classes }
    }
}

/// Settings of pixel-adaptive refinement (method.md 4.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Par {
    /// Iterations.
    pub iterations: usize,
    /// Dilations and kernel widths.
    pub options: par::Par,
}

impl Par {
    /// The settings of a configuration.
    pub fn new(config: &Config) -> Self {
        let options = par::Par { dilations: config.par_dilations.clone(), w1: config.par_w1, w2: config.par_w2 };
        Par { iterations: config.par_iters, options }
    }

    /// Propagates `masks` \[B, h, w, P\] over `picture` \[B, h, w, 3\] inside `extent` \[B, 2\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn refine(&self, masks: &Tensor, picture: &Tensor, extent: &Tensor, classes: &Tensor) -> Result<Tensor> {
        let weights = picture.par_weights(extent, &self.options)?;
        let mut masks = masks.clone();
        for _ in 0..self.iterations {
            masks = masks.par_step(&weights, extent, classes, &self.options.dilations)?;
        }
        Ok(masks)
    }
}

/// The part of each crop without padding (method.md 5.1), from the input i32 \[B, 4\] = y0, y1, x0, x1.
#[derive(Clone)]
pub struct PictureBox {
    /// First row, end row, first column, end column, each \[B, 1\], clipped to the crop.
    sides: [Tensor; 4],
    /// Size of the crop.
    size: [usize; 2],
}

/// The scene that seeds are propagated over: pictures, their boxes in the crops, and the classes of every image.
pub struct Scene {
    /// 8-bit pictures from 0 to 1, \[B, H, W, 3\].
    pub picture: Tensor,
    /// Classes in slots, i32 \[B, P\].
    pub classes: Tensor,
    /// The boxes of the pictures in their crops.
    pub picture_box: PictureBox,
    /// The refinement.
    pub par: Par,
}

impl Scene {
    /// The scene of some images of the batch.
    ///
    /// # Errors
    /// If there are no such images.
    pub fn of(&self, images: Range<usize>) -> Result<Self> {
        Ok(Scene {
            picture: self.picture.slice(0, images.clone())?,
            classes: self.classes.slice(0, images.clone())?,
            picture_box: self.picture_box.of(images)?,
            par: self.par.clone(),
        })
    }
}

impl PictureBox {
    /// Reads the boxes of crops of `size` \[height, width\].
    ///
    /// # Errors
    /// If `sides` is not \[B, 4\].
    pub fn new(sides: &Tensor, size: [usize; 2]) -> Result<Self> {
        let graph = sides.graph();
        let [height, width] = size.map(|extent| graph.scalar(extent as f64));
        let side = |index: usize, end: &Tensor| sides.slice(1, index..index + 1)?.to_real()?.minimum(end);
        let sides = [side(0, &height)?, side(1, &height)?, side(2, &width)?, side(3, &width)?];
        Ok(PictureBox { sides, size })
    }

    /// The boxes of some images of the batch.
    pub(crate) fn of(&self, images: Range<usize>) -> Result<Self> {
        let of = |side: &Tensor| side.slice(0, images.clone());
        let [y0, y1, x0, x1] = &self.sides;
        Ok(PictureBox { sides: [of(y0)?, of(y1)?, of(x0)?, of(x1)?], size: self.size })
    }

    /// Height and width of the crop.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// 1 inside the box, 0 outside: \[B, H, W\].
    ///
    /// # Errors
    /// Never for a valid box.
    pub fn inside(&self) -> Result<Tensor> {
        let graph = self.sides[0].graph();
        let [batch, _] = self.sides[0].extents()?;
        let axis = |extent: usize| (0..extent).map(|index| index as f64).collect::<Vec<_>>();
        let y = graph.constant(&axis(self.size[0]), [1, self.size[0], 1]);
        let x = graph.constant(&axis(self.size[1]), [1, 1, self.size[1]]);
        let [y0, y1, x0, x1] = self.sides.clone().map(|side| side.reshape([batch, 1, 1]));
        let rows = y.at_least(&y0?)?.mul(&y1?.greater(&y)?)?;
        let columns = x.at_least(&x0?)?.mul(&x1?.greater(&x)?)?;
        rows.mul(&columns)
    }

    /// The box as y, x, h, w, and its half-size copy at the origin (sides ≥ 1), both i32 \[B, 4\].
    fn rectangles(&self) -> Result<(Tensor, Tensor)> {
        let [y0, y1, x0, x1] = &self.sides;
        let (height, width) = (y1.sub(y0)?, x1.sub(x0)?);
        let one = y0.graph().scalar(1.0);
        let half = |side: &Tensor| side.scale(0.5)?.trunc()?.maximum(&one);
        let zero = y0.sub(y0)?;
        let whole = Tensor::concat(&[y0, x0, &height, &width], 1)?.to_integer()?;
        let reduced = Tensor::concat(&[&zero, &zero, &half(&height)?, &half(&width)?], 1)?.to_integer()?;
        Ok((whole, reduced))
    }
}

/// 1 in slot 0, 0 elsewhere: \[P\] for the P slots of `classes` \[B, P\].
pub(crate) fn first_slot(classes: &Tensor) -> Result<Tensor> {
    let [_, width] = classes.extents()?;
    let first: Vec<_> = (0..width).map(|slot| f64::from(u8::from(slot == 0))).collect();
    Ok(classes.graph().constant(&first, [width]))
}

/// Class of the best slot of scores \[B, H, W, P\], integers \[B, H, W\]; ties go to the lowest class.
///
/// # Errors
/// If the shapes do not fit.
pub fn best_class(scores: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let [batch, height, width, _] = scores.extents()?;
    let best = scores.arg_max_keep(3)?.reshape([batch, height, width])?;
    classes.lookup(&best)
}

/// The result of [`fixed_threshold_label`].
pub struct FixedThreshold {
    /// Propagated scores against the high background, in slots \[B, H, W, P\].
    pub high: Tensor,
    /// The same against the low background.
    pub low: Tensor,
    /// Y_par \[B, H, W\], real-valued integers: foreground where it beats the high background, 0 where background wins
    /// even at its low value, 255 between and outside the box.
    pub label: Tensor,
}

/// Fixed-threshold PAR labels (method.md 4.4): softmax over the valid classes, propagation at half size over the whole
/// crop.
///
/// `seeds` in slots \[B, H, W, P\], of the size of the scene's pictures.
///
/// # Errors
/// If the shapes do not fit.
pub fn fixed_threshold_label(seeds: &Tensor, scene: &Scene, [low, high]: [f64; 2]) -> Result<FixedThreshold> {
    let Scene { picture, classes, par, .. } = scene;
    let graph = seeds.graph();
    let [batch, height, width, slots] = seeds.extents()?;
    let half = [(height / 2).max(1), (width / 2).max(1)];
    let small = picture.resize_channels_last(half, false)?;
    let scores = seeds.resize_channels_last(half, false)?;
    // Both runs share one affinity: they are stacked along the slots.
    let masks = Tensor::concat(&[&compete(&scores, classes, high)?, &compete(&scores, classes, low)?], 3)?;
    let stacked = Tensor::concat(&[classes, classes], 1)?;
    let extent = graph.constant(&[half[0] as f64, half[1] as f64], [1, 2]).expand([batch, 2])?.to_integer()?;
    let refined = par.refine(&masks, &small, &extent, &stacked)?.resize_channels_last([height, width], false)?;
    let (high, low) = (refined.slice(3, 0..slots)?, refined.slice(3, slots..2 * slots)?);
    let label = two_sided_label(&high, &low, scene)?;
    Ok(FixedThreshold { high, low, label })
}

/// Scores in slots \[B, H, W, P\] of the PAR label of the final test (method.md 9.3), from `seeds` in slots: softmax
/// over the valid classes against a constant background, propagation at the full size of `picture` \[B, H, W, 3\]
/// inside `extent` \[B, 2\].
///
/// # Errors
/// If the shapes do not fit.
pub fn refined_seeds(
    seeds: &Tensor,
    picture: &Tensor,
    classes: &Tensor,
    extent: &Tensor,
    par: &Par,
    background: f64,
) -> Result<Tensor> {
    let [_, height, width, _] = picture.extents()?;
    let scores = seeds.resize_channels_last([height, width], false)?;
    par.refine(&compete(&scores, classes, background)?, picture, extent, classes)
}

/// Softmax over the valid classes of scores in slots \[B, h, w, P\], of which the background's is `background`
/// everywhere.
pub(crate) fn compete(scores: &Tensor, classes: &Tensor, background: f64) -> Result<Tensor> {
    let (graph, [batch, slots]) = (scores.graph(), classes.extents()?);
    // Unused slots vanish in the softmax: e^(−10⁴) is exactly 0 in f32.
    let unused = graph.scalar(0.0).greater(classes)?.scale(-1e4)?.reshape([batch, 1, 1, slots])?;
    scores.add(&first_slot(classes)?.scale(background)?)?.add(&unused)?.softmax(-1)
}

/// The label from scores in slots against a high and a low background (method.md 4.4, steps 5 to 7): foreground where
/// it beats the high one, background where even the low one wins, 255 between and outside the box.
pub(crate) fn two_sided_label(high: &Tensor, low: &Tensor, scene: &Scene) -> Result<Tensor> {
    let Scene { classes, picture_box, .. } = scene;
    let graph = high.graph();
    let (above, below) = (best_class(high, classes)?.to_real()?, best_class(low, classes)?.to_real()?);
    let (ignore, zero) = (graph.scalar(255.0), graph.scalar(0.0));
    let certain = above.add(&below)?.equal(&zero)?.select(&zero, &ignore)?;
    let label = above.equal(&zero)?.select(&certain, &above)?;
    picture_box.inside()?.select(&label, &ignore)?.detach()
}

/// Background-aware spatial propagation (method.md 4.5): raw scores, inside the picture box only, at half its size.
///
/// `seeds` in slots \[B, H, W, P\], `background` \[B, 1, H, W\] → Z' in slots \[B, H, W, P\], 0 outside the box.
///
/// # Errors
/// If the shapes do not fit.
pub fn propagate_with_background(seeds: &Tensor, background: &Tensor, scene: &Scene) -> Result<Tensor> {
    let [batch, height, width, _] = seeds.extents()?;
    // Seeds have no background: its slot is 0 in them.
    let background = background.reshape([batch, height, width, 1])?.mul(&first_slot(&scene.classes)?)?;
    refine_in_box(&seeds.add(&background)?, &scene.classes, scene)
}

/// S^c of seed logits \[B, K, h, w\], interpolated (method.md 11, row 5): Z' as one map per class, 0 if an image
/// lacks the tag; \[B, K + 1, H, W\]. Linear in the logits, the only input with a gradient.
///
/// # Errors
/// If the shapes do not fit.
pub fn propagated_map(logits: &Tensor, background: &Tensor, scene: &Scene) -> Result<Tensor> {
    let [_, foreground, ..]: [usize; 4] = logits.extents()?;
    let seeds = logits.gather_slots(&scene.classes, 1)?.resize_channels_last(scene.picture_box.size, false)?;
    propagate_with_background(&seeds, background, scene)?.scatter_slots(&scene.classes, foreground + 1, 0)
}

/// Refines scores in the slots of `classes` \[B, H, W, P\] inside the picture box, at half its size; 0 outside
/// (method.md
/// 4.5, steps 2 to 5).
pub(crate) fn refine_in_box(scores: &Tensor, classes: &Tensor, scene: &Scene) -> Result<Tensor> {
    let Scene { picture, picture_box, par, .. } = scene;
    let [_, height, width, _] = scores.extents()?;
    let half = [height.div_ceil(2), width.div_ceil(2)];
    let (whole, reduced) = picture_box.rectangles()?;
    let small = picture.box_resize(&whole, &reduced, half, false)?;
    let masks = scores.box_resize(&whole, &reduced, half, true)?;
    let extent = reduced.slice(1, 2..4)?;
    let refined = par.refine(&masks, &small, &extent, classes)?;
    refined.box_resize(&reduced, &whole, [height, width], false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: background first, tags ascending, −1 last (method.md 4.3).
    #[test]
    fn slots_hold_background_and_tags() {
        let slots = Slots::new(&[0.0, 1.0, 1.0, 0.0, 0.0, 0.0], 3, Slots::width_for(2));
        assert_eq!(slots.classes, [0, 2, 3, -1, 0, -1, -1, -1]);
    }
}
