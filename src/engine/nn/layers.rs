//! Single layers with their parameters.

use super::mode::{Mode, Seen};
use super::parameters::{Init, Scope};
use crate::engine::graph::{Storage, Tensor};
use crate::engine::ops::conv2d::Taps;
use crate::engine::ops::random::random_uniform;
use crate::error::{Error, Result};

/// y = x·wᵀ + b on the last axis.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `weight` \[outputs, inputs\] and `bias` \[outputs\] with the given initial values.
    #[track_caller]
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, weight: Init, bias: Init) -> Self {
        let weight = scope.parameter("weight", [outputs, inputs], weight);
        Linear { weight, bias: Some(scope.parameter("bias", [outputs], bias)) }
    }

    /// A layer with existing parameters: `weight` \[outputs, inputs\].
    pub fn from_parts(weight: Tensor, bias: Option<Tensor>) -> Self {
        Linear { weight, bias }
    }

    /// This layer followed by `next`, as one layer: next.w·w, and next.w·b + next.b.
    ///
    /// # Errors
    /// If the inputs of `next` are not the outputs of this, or the parameters of either are not those of a linear
    /// layer.
    #[track_caller]
    pub fn then(&self, next: &Linear) -> Result<Self> {
        let [outputs, _] = next.weight.extents()?;
        let bias = match &self.bias {
            Some(bias) => {
                let [width] = bias.extents()?;
                let row = bias.reshape([1, width])?;
                Some(next.forward(&row)?.reshape([outputs])?)
            }
            None => next.bias.clone(),
        };
        Ok(Linear { weight: next.weight.matmul(&self.weight)?, bias })
    }

    /// \[…, inputs\] → \[…, outputs\].
    ///
    /// # Errors
    /// If the last axis is not `inputs` long.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

/// Square convolution with bias.
pub struct Conv2d {
    taps: Taps,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// `weight` \[outputs, inputs, kernel, kernel\], normal with variance 2 / fan_out (method.md 1.6).
    #[track_caller]
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let init = Init::Normal((2.0 / (kernel * kernel * outputs) as f64).sqrt());
        let weight = scope.parameter("weight", [outputs, inputs, kernel, kernel], init);
        Conv2d {
            taps: Taps::new(&weight),
            bias: scope.parameter("bias", [outputs], Init::Constant(0.0)),
            stride,
            padding,
        }
    }

    /// \[B, H, W, inputs\] → \[B, H', W', outputs\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.conv2d_with(&self.taps, Some(&self.bias), self.stride, self.padding)
    }
}

/// Depth-wise 3×3 convolution with bias, stride 1, zero padding 1.
pub struct DepthwiseConv2d {
    weight: Tensor,
    bias: Tensor,
}

impl DepthwiseConv2d {
    /// `weight` \[channels, 1, 3, 3\], normal with variance 2 / 9 (method.md 1.6).
    #[track_caller]
    pub fn new(scope: &Scope, channels: usize) -> Self {
        let weight = scope.parameter("weight", [channels, 1, 3, 3], Init::Normal((2.0_f64 / 9.0).sqrt()));
        DepthwiseConv2d { weight, bias: scope.parameter("bias", [channels], Init::Constant(0.0)) }
    }

    /// \[B, H, W, channels\] → the same shape.
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.depthwise_conv2d(&self.weight, &self.bias, 1, 1, 1)
    }
}

/// Layer norm over the last axis.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// `weight` is initialised with 1, `bias` with 0.
    #[track_caller]
    pub fn new(scope: &Scope, channels: usize, eps: f64) -> Self {
        let weight = scope.parameter("weight", [channels], Init::Constant(1.0));
        LayerNorm { weight, bias: scope.parameter("bias", [channels], Init::Constant(0.0)), eps }
    }

    /// Normalises every row.
    ///
    /// # Errors
    /// If the last axis has another length.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.layer_norm(&self.weight, &self.bias, self.eps)
    }
}

/// Batch norm over all axes but the last, with running statistics (method.md 2.2).
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    const EPS: f64 = 1e-5;
    const MOMENTUM: f64 = 0.1;

    /// `weight` 1, `bias` 0, `running_mean` 0, `running_var` 1 initially.
    #[track_caller]
    pub fn new(scope: &Scope, channels: usize) -> Self {
        BatchNorm {
            weight: scope.parameter("weight", [channels], Init::Constant(1.0)),
            bias: scope.parameter("bias", [channels], Init::Constant(0.0)),
            running_mean: scope.statistic("running_mean", [channels], Init::Constant(0.0)),
            running_var: scope.statistic("running_var", [channels], Init::Constant(1.0)),
        }
    }

    /// Normalises the parts \[…, channels\] of a batch. In training, the biased variance of the whole batch
    /// is used, and the running variance is updated with the unbiased one. Statistics are always stored in full
    /// precision.
    ///
    /// # Errors
    /// If the last axis has another length.
    #[track_caller]
    pub fn forward(&self, parts: &[Tensor], mode: &Mode) -> Result<Vec<Tensor>> {
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let statistics = self.weight.graph().stored(Storage::Whole, || self.statistics(parts, mode))?;
        parts.iter().map(|x| x.batch_norm(&statistics, &self.weight, &self.bias, Self::EPS)).collect()
    }

    /// The statistics for the normalisation, \[2, channels\]; in training, the running statistics are updated.
    #[track_caller]
    fn statistics(&self, parts: &[Tensor], mode: &Mode) -> Result<Tensor> {
        let channels = self.weight.shape()[0];
        let Mode::Train { part, .. } = mode else {
            let rows = [&self.running_mean, &self.running_var].map(|row| row.reshape([1, channels]));
            let [mean, variance] = rows;
            return Tensor::concat(&[&mean?, &variance?], 0);
        };
        let groups = part.as_ref().and_then(|part| part.groups.as_ref());
        let own = match groups {
            None => vec![statistics_of_all(parts)?],
            Some(groups) => {
                let tensors = (parts.len() / groups.share.here.len().max(1)).max(1);
                parts.chunks(tensors).map(statistics_of_all).collect::<Result<_>>()?
            }
        };
        let statistics = match groups {
            None => own[0].clone(),
            Some(groups) => merged(&groups.share.gather(&own)?, &vec![1.0; groups.share.ranks])?.detach()?,
        };
        // A pass for labels must not depend on the updates of the running statistics by earlier passes.
        if groups.map_or(part.is_none(), |groups| groups.labels) {
            statistics.hoist();
        }
        if let Some(part) = part {
            // A network has one batch norm, so it is not set yet.
            let _ = part.seen.set(Seen { own, all: statistics.clone() });
            if let Some(whole) = &part.whole {
                return Ok(whole.clone());
            }
        }
        let here = parts.iter().map(|part| part.shape().len() / channels).sum::<usize>() as f64;
        let count = here * groups.map_or(1.0, |groups| groups.share.ranks as f64 / groups.share.here.len() as f64);
        let unbiased = count / (count - 1.0).max(1.0);
        for (running, row, gain) in [(&self.running_mean, 0, 1.0), (&self.running_var, 1, unbiased)] {
            let batch = statistics.slice(0, row..row + 1)?.reshape([channels])?;
            let moved = running.scale(1.0 - Self::MOMENTUM)?.add(&batch.scale(Self::MOMENTUM * gain)?)?;
            // A step that is rejected must not leave infinities in the statistics.
            running.assign(&moved.finite()?.select(&moved, running)?)?;
        }
        Ok(statistics)
    }
}

/// Mean and biased variance \[2, C\] over all parts \[…, C\]: with shares w of the rows, the mean is m = Σ w·mᵢ and the
/// variance Σ w·(vᵢ + (mᵢ − m)²).
fn statistics_of_all(parts: &[Tensor]) -> Result<Tensor> {
    let each = parts.iter().map(Tensor::batch_statistics).collect::<Result<Vec<_>>>()?;
    if let [only] = &each[..] {
        return Ok(only.clone());
    }
    let rows: Vec<_> = parts.iter().map(|part| part.shape().len() as f64).collect();
    let channels = each[0].shape()[1];
    let all = Tensor::concat(&each.iter().collect::<Vec<_>>(), 0)?.reshape([parts.len(), 2, channels])?;
    merged(&all, &rows)
}

/// The same from the mean and variance of each part, \[parts, 2, C\], and its number of rows.
fn merged(all: &Tensor, rows: &[f64]) -> Result<Tensor> {
    let [parts, _, channels] = all.extents()?;
    let total: f64 = rows.iter().sum();
    let shares: Vec<_> = rows.iter().map(|rows| rows / total).collect();
    let shares = all.graph().constant(&shares, [parts, 1]);
    let row = |row: usize| all.slice(1, row..row + 1)?.reshape([parts, channels]);
    let (means, variances) = (row(0)?, row(1)?);
    let mean = means.mul(&shares)?.sum_keep(0)?;
    let apart = means.sub(&mean)?;
    let variance = variances.add(&apart.mul(&apart)?)?.mul(&shares)?.sum_keep(0)?;
    Tensor::concat(&[&mean, &variance], 0)
}

/// Keeps each sample's branch with probability 1 − `rate` and scales survivors (method.md 1.5). x \[B, …\].
///
/// # Errors
/// If the tensor has no axes.
#[track_caller]
pub fn drop_path(x: &Tensor, rate: f64, mode: &Mode) -> Result<Tensor> {
    drop_where(x, |axis| axis == 0, rate, mode)
}

/// Zeroes whole channels of single samples with probability `rate` and scales survivors: Dropout2d on \[B, N, C\].
///
/// # Errors
/// If the tensor has no axes.
#[track_caller]
pub fn dropout_channels(x: &Tensor, rate: f64, mode: &Mode) -> Result<Tensor> {
    drop_where(x, |axis| axis == 0 || axis + 1 == x.shape().rank(), rate, mode)
}

/// x · floor(keep + u) / keep with u ~ U\[0, 1), drawn along some axes and the same along the others.
#[track_caller]
fn drop_where(x: &Tensor, drawn: impl Fn(usize) -> bool, rate: f64, mode: &Mode) -> Result<Tensor> {
    if x.shape().rank() == 0 {
        return Err(Error::misuse(format!("dropout: {x:?} has no axis of samples")));
    }
    let extents = x.shape().iter().enumerate();
    let shape: Vec<_> = extents.map(|(axis, &extent)| if drawn(axis) { extent } else { 1 }).collect();
    match mode {
        Mode::Train { random: Some(key), part } if rate > 0.0 => {
            let keep = 1.0 - rate;
            let mask = || {
                let drawn = match part {
                    Some(part) => {
                        let batch = [&[part.of], &shape[1..]].concat();
                        part.of_batch(&random_uniform(key, batch)?)?
                    }
                    None => random_uniform(key, shape)?,
                };
                drawn.offset(keep)?.trunc()?.scale(1.0 / keep)
            };
            // The same random numbers in every precision.
            let mask = x.graph().stored(Storage::Whole, mask)?;
            x.mul(&mask)
        }
        _ => Ok(x.clone()),
    }
}
