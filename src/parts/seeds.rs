//! Multi-scale, flip-averaged maps of both branches (method.md 3).

use std::ops::Range;

use crate::config::Fuse;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Grid, Mode};
use crate::error::{Error, Result};
use crate::parts::batch_parts::{parts, together};
use crate::parts::network::{Network, Outputs};

/// The passes over scales and mirror images. Its methods make maps of them at the size of the image, for some images at
/// a time and only for the requested classes, since these maps are the largest of a step. Nothing has a
/// gradient.
///
/// Operations that are linear or the same for all columns precede the interpolation (method.md 14.5): mirror images are
/// flipped back, classes selected and logits averaged on the grids of the network.
#[derive(Clone)]
pub struct MultiScale {
    /// The passes, scale 1 first.
    pub passes: Vec<Pass>,
    /// Height and width of the maps.
    size: [usize; 2],
}

/// The pass over one scale.
#[derive(Clone)]
pub struct Pass {
    /// The scale.
    pub scale: f64,
    /// The outputs for the parts of the batch; a part has pictures, then their mirror images if there are any.
    pub parts: Vec<Outputs>,
    /// Height and width of the network's input: maps are first resized to this size.
    seen: [usize; 2],
    /// Whether there are mirror images.
    flip: bool,
}

impl Pass {
    /// A value of `images`, all parts together.
    ///
    /// # Errors
    /// If there are no such images.
    pub fn pictures(&self, images: Range<usize>, value: impl Fn(&Outputs) -> &Tensor) -> Result<Tensor> {
        self.view(images, &self.parts.iter().map(value).collect::<Vec<_>>(), 0)
    }

    /// Affinity of `images`, \[B, N, N\], with its grid (method.md 4.6).
    ///
    /// # Errors
    /// If there are no such images, or the encoder has no attention scores.
    pub fn affinity(&self, images: Range<usize>) -> Result<(Tensor, [usize; 2])> {
        let affinities: Option<Vec<_>> = self.parts.iter().map(|outputs| outputs.affinity.as_ref()).collect();
        match (affinities, self.parts[0].features.levels.last()) {
            (Some(affinities), Some(level)) => {
                let Grid { height, width } = level.grid;
                Ok((self.view(images, &affinities, 0)?, [height, width]))
            }
            _ => Err(Error::Graph("an affinity needs an encoder with attention scores".into())),
        }
    }

    /// Whether [`Pass::affinity`] is available.
    pub fn has_affinity(&self) -> bool {
        self.parts.iter().all(|outputs| outputs.affinity.is_some())
    }

    /// The rows `images` of a value of every part: view 0 are pictures, view 1 mirror images.
    fn view(&self, images: Range<usize>, parts: &[&Tensor], view: usize) -> Result<Tensor> {
        let (mut first, mut found) = (0, Vec::new());
        for part in parts {
            let count = part.shape()[0] / (1 + usize::from(self.flip));
            let own = images.start.max(first)..images.end.min(first + count);
            if !own.is_empty() {
                let start = own.start - first + view * count;
                found.push(part.slice(0, start..start + own.len())?);
            }
            first += count;
        }
        together(&found)
    }

    /// Small maps \[B, C, h, w\] of `images`, and of their mirror images, flipped back, if there are any.
    fn pair(&self, images: Range<usize>, maps: impl Fn(&Outputs) -> &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let maps: Vec<_> = self.parts.iter().map(maps).collect();
        let plain = self.view(images.clone(), &maps, 0)?.detach()?;
        let mirrored = self.flip.then(|| self.view(images, &maps, 1)?.detach()?.flip(3)).transpose()?;
        Ok((plain, mirrored))
    }
}

impl MultiScale {
    /// Seeds of `images` in \[0, 1\] (method.md 3.1, steps 4 and 6), in the slots of their `classes` \[B, P\]: max over
    /// each mirrored pair, ReLU, sum over scales, norm01. \[B, H, W, P\].
    ///
    /// # Errors
    /// If the classes are not those of as many images.
    pub fn seeds(&self, images: Range<usize>, classes: &Tensor) -> Result<Tensor> {
        let of_scales = self.passes.iter().map(|pass| {
            let large = |small: &Tensor| {
                let slots = small.gather_slots(classes, 1)?;
                slots.resize_channels_last(pass.seen, false)?.resize_channels_last(self.size, false)
            };
            match pass.pair(images.clone(), |outputs| &outputs.cam_small)? {
                (plain, Some(mirrored)) => large(&plain)?.maximum(&large(&mirrored)?)?.relu(),
                (plain, None) => large(&plain)?.relu(),
            }
        });
        normalise(&fold(of_scales, Tensor::add)?, 1..3)
    }

    /// Segmentation logits of `images` at every scale, of some channels: mean over each pair, \[B, C, H, W\].
    ///
    /// # Errors
    /// If there are no such images or channels.
    pub fn averages(&self, images: &Range<usize>, channels: &Range<usize>) -> Result<Vec<Tensor>> {
        let average = |pass: &Pass| {
            let average = match pass.pair(images.clone(), |outputs| &outputs.seg_small)? {
                (plain, Some(mirrored)) => plain.add(&mirrored)?.scale(0.5)?,
                (plain, None) => plain,
            };
            average.slice(1, channels.clone())?.resize(pass.seen, false)?.resize(self.size, false)
        };
        self.passes.iter().map(average).collect()
    }

    /// The same over all scales: their sum, or their max as in the final test (method.md 9.3).
    ///
    /// # Errors
    /// As [`MultiScale::averages`].
    pub fn logits(&self, images: Range<usize>, channels: Range<usize>, fuse: Fuse) -> Result<Tensor> {
        let with = match fuse {
            Fuse::Sum => Tensor::add,
            Fuse::Max => Tensor::maximum,
        };
        fold(self.averages(&images, &channels)?.into_iter().map(Ok), with)
    }

    /// Segmentation scores of `images` in \[0, 1\] (method.md 3.1, steps 5 and 7): norm01 of the sum, per channel.
    /// \[B, C, H, W\].
    ///
    /// # Errors
    /// As [`MultiScale::averages`].
    pub fn scores(&self, images: Range<usize>, channels: Range<usize>) -> Result<Tensor> {
        normalise_map(&self.logits(images, channels, Fuse::Sum)?)
    }

    /// The pass over the unscaled images.
    pub fn at_scale_1(&self) -> &Pass {
        self.passes.first().unwrap_or_else(|| unreachable!("scale 1 always runs"))
    }

    /// The pass of the largest scale.
    pub fn largest(&self) -> &Pass {
        let largest = self.passes.iter().max_by(|one, other| one.scale.total_cmp(&other.scale));
        largest.unwrap_or_else(|| unreachable!("scale 1 always runs"))
    }

    /// Elements of the widest map of an image with `slots`: interpolated to the largest scale, or twice at its own
    /// size.
    pub(crate) fn widest(&self, slots: usize) -> usize {
        let area = |[height, width]: [usize; 2]| height * width;
        slots * self.passes.iter().map(|pass| area(pass.seen)).fold(2 * area(self.size), usize::max)
    }
}

/// Runs the network on `image` \[B, H, W, 3\] and its mirror image at every scale: 1 first, then the others in their
/// order. Sizes are truncated to whole pixels (method.md 3.1). `known` are outputs for `image` whose features a pass in
/// `mode` would compute again: they are used instead.
///
/// # Errors
/// If images are too small at the smallest scale.
pub fn multi_scale(
    network: &Network,
    image: &Tensor,
    scales: &[f64],
    known: Option<&Outputs>,
    mode: &Mode,
) -> Result<MultiScale> {
    let (images, known) = (std::slice::from_ref(image), known.map(std::slice::from_ref));
    multi_scale_of_groups(network, images, scales, known, &|_| mode.clone()).map(|mut one| one.swap_remove(0))
}

/// The same for several groups of images that are passed together: `mode_of` is the mode for a pass of each group in
/// the given numbers of images, each with their mirror images.
///
/// # Errors
/// As [`multi_scale`].
pub fn multi_scale_of_groups(
    network: &Network,
    images: &[Tensor],
    scales: &[f64],
    known: Option<&[Outputs]>,
    mode_of: &dyn Fn(&[Range<usize>]) -> Mode,
) -> Result<Vec<MultiScale>> {
    let whole = |extent: usize, scale: f64| (scale * extent as f64) as usize;
    let rescale = |image: &Tensor, scale: f64| {
        let [_, height, width, _] = image.extents()?;
        image.resize_channels_last([whole(height, scale), whole(width, scale)], false)
    };
    over_scales(network, images, scales, true, rescale, known, mode_of)
}

/// The same in the form of the final test (method.md 9.3), where images are resized by the factor itself; with `flip`
/// their mirror images are passed too.
///
/// # Errors
/// As [`multi_scale`].
pub fn test_scales(network: &Network, image: &Tensor, scales: &[f64], flip: bool, mode: &Mode) -> Result<MultiScale> {
    let rescale = |image: &Tensor, scale: f64| {
        if scale == 1.0 { Ok(image.clone()) } else { image.resize_channels_last_by_factor(scale) }
    };
    let images = std::slice::from_ref(image);
    over_scales(network, images, scales, flip, rescale, None, &|_| mode.clone()).map(|mut one| one.swap_remove(0))
}

fn over_scales(
    network: &Network,
    images: &[Tensor],
    scales: &[f64],
    flip: bool,
    rescale: impl Fn(&Tensor, f64) -> Result<Tensor>,
    known: Option<&[Outputs]>,
    mode_of: &dyn Fn(&[Range<usize>]) -> Mode,
) -> Result<Vec<MultiScale>> {
    let [batch, height, width, _] = images.first().map_or(Ok([0; 4]), Tensor::extents)?;
    let size = [height, width];
    let mut groups: Vec<_> = images.iter().map(|_| MultiScale { passes: Vec::new(), size }).collect();
    for scale in [1.0].into_iter().chain(scales.iter().copied().filter(|&scale| scale != 1.0)) {
        let (mut views, mut split, mut seen) = (Vec::new(), Vec::new(), size);
        for image in images {
            let scaled = rescale(image, scale)?;
            let [_, rows, columns, _] = scaled.extents()?;
            seen = [rows, columns];
            split = parts(batch, 2 * 4 * network.widest(seen));
            for part in &split {
                let part = scaled.slice(0, part.clone())?;
                views.push(if flip { Tensor::concat(&[&part, &part.flip(2)?], 0)? } else { part });
            }
        }
        let mode = mode_of(&split);
        let record = || match known.filter(|_| scale == 1.0 && flip && split.len() == 1) {
            Some(known) => network.forward_mirrored(images, known, &mode),
            None => network.forward_parts(&views, &mode),
        };
        let mut outputs = network.scope().graph().without_gradient(record)?;
        for group in &mut groups {
            let rest = outputs.split_off(split.len());
            group.passes.push(Pass { scale, parts: std::mem::replace(&mut outputs, rest), seen, flip });
        }
    }
    Ok(groups)
}

/// Folds the maps of all scales into one.
fn fold(
    mut maps: impl Iterator<Item = Result<Tensor>>,
    with: fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let Some(first) = maps.next() else { unreachable!("scale 1 always runs") };
    maps.try_fold(first?, |so_far, map| with(&so_far, &map?))
}

/// norm01 (method.md 0.4): u = x − min x, then u / (max u + 1e-5), per sample and channel over \[H, W\].
///
/// # Errors
/// If the tensor does not have four axes.
pub fn normalise_map(maps: &Tensor) -> Result<Tensor> {
    normalise(maps, 2..4)
}

/// norm01 over neighbouring axes.
fn normalise(maps: &Tensor, axes: Range<isize>) -> Result<Tensor> {
    let (low, high) = (maps.min_keep(axes.clone())?, maps.max_keep(axes)?);
    maps.sub(&low)?.div(&high.sub(&low)?.offset(1e-5)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::graph::{DType, Graph};
    use crate::engine::session::Session;
    use crate::parts::network::{NetworkConfig, NetworkOptions};

    /// Protects: maps of some images are those of the whole batch, regardless of the division into parts, and the
    /// seeds of a slot do not depend on the others.
    #[test]
    fn maps_do_not_depend_on_parts() {
        let graph = Graph::new();
        let config = NetworkConfig::new(&Config::preset("nano").unwrap(), 5).unwrap();
        let network = Network::new(&graph, &config, NetworkOptions::default()).unwrap();
        let image = graph.input("image", [3, 32, 48, 3], DType::F32);
        let pass = |counts: &[usize]| {
            let mut first = 0;
            let views = |count: &usize| {
                let images = image.slice(0, first..first + count).unwrap();
                first += count;
                Tensor::concat(&[&images, &images.flip(2).unwrap()], 0).unwrap()
            };
            let images: Vec<_> = counts.iter().map(views).collect();
            let parts = network.forward_parts(&images, &Mode::Eval).unwrap();
            MultiScale { passes: vec![Pass { scale: 1.0, parts, seen: [32, 48], flip: true }], size: [32, 48] }
        };
        let (whole, cut) = (pass(&[3]), pass(&[2, 1]));
        let classes = |slots: [f64; 4], images: usize| {
            graph.constant(&slots, [1, 4]).expand([images, 4]).unwrap().to_integer().unwrap()
        };
        let reads = [
            whole.seeds(0..3, &classes([0.0, 2.0, 5.0, -1.0], 3)).unwrap().slice(0, 1..3).unwrap(),
            cut.seeds(1..3, &classes([0.0, 1.0, 2.0, 5.0], 2)).unwrap(),
            whole.scores(0..3, 0..6).unwrap().slice(0, 1..3).unwrap().slice(1, 0..1).unwrap(),
            cut.scores(1..3, 0..1).unwrap(),
        ];
        let mut session = Session::open("reference").unwrap();
        for parameter in network.parameters() {
            session.set_state(&parameter.name, &parameter.shape, &parameter.initial(7)).unwrap();
        }
        let mut program = session.compile(&graph, &reads.each_ref()).unwrap();
        let noise: Vec<_> = (0..3 * 3 * 32 * 48).map(|index| f64::from(index * 7919 % 1009) / 300.0 - 1.5).collect();
        program.write(&image, &noise).unwrap();
        program.run().unwrap();
        let [whole, cut, score, score_of_cut] = reads.map(|map| program.read(&map).unwrap());
        let slot = |seeds: &[f64], slot: usize| seeds.iter().skip(slot).step_by(4).copied().collect::<Vec<_>>();
        assert!(slot(&whole, 1).iter().any(|&seed| seed > 0.9) && slot(&whole, 3).iter().all(|&seed| seed == 0.0));
        assert!(slot(&whole, 1) == slot(&cut, 2) && slot(&whole, 2) == slot(&cut, 3));
        assert!(score == score_of_cut && score.iter().any(|&score| score > 0.9));
    }
}
