//! Multi-scale, flip-averaged maps of both branches (spec 3), and the picture that PAR looks at (spec 4.2).

use std::ops::Range;

use super::parts::{parts, together};
use super::{Network, Outputs};
use crate::data::augment::{MEAN, STD};
use crate::error::Result;
use crate::graph::Tensor;
use crate::nn::{Grid, Mode};
use crate::ops::reduce::Reduction;

/// What the passes over scales and mirror images give; nothing in it carries a gradient.
pub struct MultiScale {
    /// Seeds in \[0, 1\]: max over each mirrored pair, ReLU, sum over scales, norm01. \[B, K, H, W\].
    pub cams: Tensor,
    /// Segmentation scores in \[0, 1\]: mean over each pair, sum over scales, norm01 per channel. \[B, K + 1, H, W\].
    pub segs: Tensor,
    /// Segmentation logits of the final test (spec 9.3): mean over each pair, max over scales. \[B, K + 1, H, W\].
    pub fused: Tensor,
    /// The scales in order, each with the mean over its pair at the image's size.
    pub averages: Vec<(f64, Tensor)>,
    /// The passes in order, in parts of the batch; a part holds pictures, then their mirror images where there are some.
    pub passes: Vec<(f64, Vec<Outputs>)>,
}

impl MultiScale {
    /// A value of the pictures (not of their mirror images) in a pass, all parts together.
    ///
    /// # Errors
    /// Never for a pass that ran.
    pub fn pictures(&self, pass: usize, value: impl Fn(&Outputs) -> &Tensor) -> Result<Tensor> {
        let parts: Vec<_> = self.passes[pass].1.iter().map(value).collect();
        let samples: usize = parts.iter().map(|part| part.shape()[0]).sum();
        let views = samples / self.cams.shape()[0];
        together(&parts.iter().map(|part| part.slice(0, 0..part.shape()[0] / views)).collect::<Result<Vec<_>>>()?)
    }

    /// Affinity of the pictures in a pass, \[B, N, N\], with its grid (spec 4.6).
    ///
    /// # Errors
    /// Never for a pass that ran.
    pub fn affinity_of(&self, pass: usize) -> Result<(Tensor, [usize; 2])> {
        let Grid { height, width } = self.passes[pass].1[0].features.grids[3];
        Ok((self.pictures(pass, |outputs| &outputs.affinity)?, [height, width]))
    }

    /// Sum over the scales of the mean over each pair, \[B, K + 1, H, W\].
    ///
    /// # Errors
    /// Never for passes that ran.
    pub fn sum(&self) -> Result<Tensor> {
        let Some(((_, first), others)) = self.averages.split_first() else { unreachable!("scale 1 always runs") };
        others.iter().try_fold(first.clone(), |sum, (_, average)| sum.add(average))
    }

    /// The pass of the largest scale.
    pub fn largest(&self) -> usize {
        (0..self.passes.len()).max_by(|&a, &b| self.passes[a].0.total_cmp(&self.passes[b].0)).unwrap_or(0)
    }
}

/// Runs the network on `image` \[B, 3, H, W\] and its mirror image at every scale: 1 first, then the others in their
/// order. Sizes are cut to whole pixels (spec 3.1).
///
/// # Errors
/// If the smallest scale leaves too few pixels.
pub fn multi_scale(network: &Network, image: &Tensor, scales: &[f64], mode: &Mode) -> Result<MultiScale> {
    let whole = |extent: usize, scale: f64| (scale * extent as f64) as usize;
    let rescale = |scale: f64| image.resize([whole(image.shape()[2], scale), whole(image.shape()[3], scale)], false);
    over_scales(network, image, scales, true, rescale, mode)
}

/// The same in the form of the final test (spec 9.3), where images are resized by the factor itself; with `flip` their
/// mirror images are seen too.
///
/// # Errors
/// As [`multi_scale`].
pub fn test_scales(network: &Network, image: &Tensor, scales: &[f64], flip: bool, mode: &Mode) -> Result<MultiScale> {
    let rescale = |scale: f64| if scale == 1.0 { Ok(image.clone()) } else { image.resize_by_factor(scale) };
    over_scales(network, image, scales, flip, rescale, mode)
}

fn over_scales(
    network: &Network,
    image: &Tensor,
    scales: &[f64],
    flip: bool,
    rescale: impl Fn(f64) -> Result<Tensor>,
    mode: &Mode,
) -> Result<MultiScale> {
    let (batch, size) = (image.shape()[0], [image.shape()[2], image.shape()[3]]);
    let (mut cams, mut segs, mut fused) = (None, None, None);
    let (mut averages, mut passes) = (Vec::new(), Vec::new());
    for scale in [1.0].into_iter().chain(scales.iter().copied().filter(|&scale| scale != 1.0)) {
        let scaled = rescale(scale)?;
        let widest = network.widest(scaled.shape()[2].max(size[0]), scaled.shape()[3].max(size[1]));
        let seen = |images: Range<usize>| {
            let images = scaled.slice(0, images)?;
            if flip { Tensor::concat(&[&images, &images.flip(3)?], 0) } else { Ok(images) }
        };
        let images = parts(batch, 2 * 4 * widest).into_iter().map(seen).collect::<Result<Vec<_>>>()?;
        let outputs = network.forward_parts(&images, mode)?;
        let (mut seeds, mut logits) = (Vec::new(), Vec::new());
        for part in &outputs {
            let [plain, mirrored] = pair(&part.cam, size, flip)?;
            seeds.push(plain.maximum(&mirrored)?.relu()?);
            let [plain, mirrored] = pair(&part.seg, size, flip)?;
            logits.push(plain.add(&mirrored)?.scale(0.5)?);
        }
        let average = together(&logits)?;
        combine(&mut cams, together(&seeds)?, Tensor::add)?;
        combine(&mut segs, average.clone(), Tensor::add)?;
        combine(&mut fused, average.clone(), Tensor::maximum)?;
        averages.push((scale, average));
        passes.push((scale, outputs));
    }
    let (Some(cams), Some(segs), Some(fused)) = (cams, segs, fused) else { unreachable!("scale 1 always runs") };
    Ok(MultiScale { cams: normalise_map(&cams)?, segs: normalise_map(&segs)?, fused, averages, passes })
}

/// Maps of pictures and, with `flip`, of their mirror images behind them, at a given size and turned back; without it the
/// same maps twice.
fn pair(maps: &Tensor, size: [usize; 2], flip: bool) -> Result<[Tensor; 2]> {
    let maps = maps.detach()?.resize(size, false)?;
    if !flip {
        return Ok([maps.clone(), maps]);
    }
    let batch = maps.shape()[0] / 2;
    Ok([maps.slice(0, 0..batch)?, maps.slice(0, batch..2 * batch)?.flip(3)?])
}

/// Folds `part` into what was combined so far.
fn combine(so_far: &mut Option<Tensor>, part: Tensor, with: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<()> {
    *so_far = Some(match so_far.take() {
        Some(so_far) => with(&so_far, &part)?,
        None => part,
    });
    Ok(())
}

/// norm01 (spec 0.4): u = x − min x, then u / (max u + 1e-5), per sample and channel over \[H, W\].
///
/// # Errors
/// If the tensor has not four axes.
pub fn normalise_map(maps: &Tensor) -> Result<Tensor> {
    let (low, high) = (maps.reduce(Reduction::Min, 2..4)?, maps.reduce(Reduction::Max, 2..4)?);
    maps.sub(&low)?.div(&high.sub(&low)?.offset(1e-5)?)
}

/// The normalised `image` \[B, 3, H, W\] as the 8-bit picture it came from, divided by 255 (spec 4.2: truncated, not
/// rounded).
///
/// # Errors
/// If the image has not three channels.
pub fn picture(image: &Tensor) -> Result<Tensor> {
    let graph = image.graph();
    let channels = |values: [f64; 3]| graph.constant(&values, [3, 1, 1]);
    let (mean, std) = (channels(MEAN), channels(STD));
    image.detach()?.mul(&std)?.add(&mean)?.trunc()?.scale(1.0 / 255.0)
}
