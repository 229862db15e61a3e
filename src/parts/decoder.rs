//! The all-MLP decoder (method.md 2.2).

use crate::engine::graph::{Storage, Tensor};
use crate::engine::nn::{BatchNorm, Grid, Init, Linear, Mode, Scope, dropout_channels, each_part};
use crate::error::{Error, Result};
use crate::parts::encoders::{Features, Level};

/// Sizes of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSizes {
    /// Channels of every level of features, fine to coarse.
    pub inputs: Vec<usize>,
    /// Its own channels.
    pub embed: usize,
    /// Classes with background, K + 1.
    pub classes: usize,
    /// Rate of its channel dropout.
    pub drop_rate: f64,
}

/// Per-level linears, fusion, batch norm, prediction.
pub struct Decoder {
    /// From fine to coarse: the projection and its block of the fuse weight.
    levels: Vec<Linear>,
    norm: BatchNorm,
    predict: Linear,
    drop_rate: f64,
}

impl Decoder {
    /// Parameters `linear_c{L..1}.proj` for L levels, `linear_fuse.conv`, `linear_fuse.bn`, `linear_pred`.
    ///
    /// # Errors
    /// Never for positive sizes.
    pub fn new(scope: &Scope, sizes: &DecoderSizes) -> Result<Self> {
        let (embed, classes) = (sizes.embed, sizes.classes);
        let projections: Vec<_> = sizes
            .inputs
            .iter()
            .copied()
            .enumerate()
            .rev()
            .map(|(level, inputs)| {
                let bound = Init::Uniform(1.0 / (inputs as f64).sqrt());
                Linear::new(&scope.at(format!("linear_c{}", level + 1)).at("proj"), inputs, embed, bound, bound)
            })
            .collect();
        // The 1×1 fuse convolution commutes with bilinear resizing, so each of its blocks is applied at its own
        // level's resolution and the concatenation of all levels is never built (method.md 14.5). There is nothing
        // between a projection and its block then, so their weights are multiplied once, for all passes.
        let (init, width) = (Init::Normal((2.0 / embed as f64).sqrt()), sizes.inputs.len() * embed);
        let fuse = scope.at("linear_fuse").at("conv").parameter("weight", [embed, width, 1, 1], init);
        let fuse = fuse.reshape([embed, width])?;
        let levels = projections
            .into_iter()
            .enumerate()
            .rev()
            .map(|(slot, projection)| {
                let block = fuse.slice(1, slot * embed..(slot + 1) * embed)?;
                projection.then(&Linear::from_parts(block, None))
            })
            .collect::<Result<_>>()?;
        let norm = BatchNorm::new(&scope.at("linear_fuse").at("bn"), embed);
        let bound = Init::Uniform(1.0 / (embed as f64).sqrt());
        let predict = scope.at("linear_pred");
        let weight = predict.parameter("weight", [classes, embed, 1, 1], bound);
        let bias = predict.parameter("bias", [classes], bound);
        let predict = Linear::from_parts(weight.reshape([classes, embed])?, Some(bias));
        Ok(Decoder { levels, norm, predict, drop_rate: sizes.drop_rate })
    }

    /// Features of all levels → their projections on the finest grid, summed: \[B, h, w, embed\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn fuse(&self, features: &Features) -> Result<Tensor> {
        let mut sums: Vec<(Grid, Tensor)> = Vec::new();
        for (linear, level) in self.levels.iter().zip(&features.levels) {
            let map = Level { tokens: linear.forward(&level.tokens)?, grid: level.grid }.map()?;
            match sums.last_mut() {
                // Resizing is linear: levels on one grid are resized together.
                Some((grid, sum)) if *grid == level.grid => *sum = sum.add(&map)?,
                _ => sums.push((level.grid, map)),
            }
        }
        let mut sums = sums.into_iter().map(|(_, sum)| sum);
        let Some(first) = sums.next() else {
            return Err(Error::Graph("a decoder needs features of at least one level".into()));
        };
        sums.try_fold(first, |sum, map| map.resize_channels_last_onto(&sum, false))
    }

    /// The results of [`Decoder::fuse`] for the parts of a batch → their logits \[B, K + 1, h, w\], which are always
    /// stored in full precision. The statistics of the norm are those of the whole batch.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn predict(&self, fused: &[Tensor], mode: &Mode) -> Result<Vec<Tensor>> {
        let predict = |part: &Tensor, mode: &Mode| {
            let kept = dropout_channels(&part.relu()?, self.drop_rate, mode)?;
            let logits = || self.predict.forward(&kept)?.permute(&[0, 3, 1, 2]);
            kept.graph().stored(Storage::Whole, logits)
        };
        each_part(&self.norm.forward(fused, mode)?, mode, predict)
    }
}
