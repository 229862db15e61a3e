//! The transformer block of MiT (spec 1.3).

use super::{Conv2d, DepthwiseConv2d, Init, LayerNorm, Linear, Mode, Scope, drop_path};
use crate::error::Result;
use crate::graph::Tensor;

/// Height and width of a grid of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Grid {
    /// Number of tokens.
    pub fn tokens(self) -> usize {
        self.height * self.width
    }
}

/// Weights of encoder linears: std 0.02 (spec 1.6).
const LINEAR: Init = Init::Normal(0.02);
const ZERO: Init = Init::Constant(0.0);

/// Self-attention with spatially reduced keys and values.
pub struct Attention {
    q: Linear,
    key: Linear,
    value: Linear,
    projection: Linear,
    reduction: Option<(Conv2d, LayerNorm)>,
    heads: usize,
}

impl Attention {
    /// Parameters `q`, `kv`, `proj`, and for `sr` > 1 also `sr` and `norm`.
    ///
    /// # Errors
    /// Never for positive sizes.
    pub fn new(scope: &Scope, channels: usize, heads: usize, sr: usize) -> Result<Self> {
        let q = Linear::new(&scope.at("q"), channels, channels, LINEAR, ZERO);
        // Output channels [0, C) of `kv` are keys, [C, 2C) values.
        let kv = scope.at("kv");
        let weight = kv.parameter("weight", [2 * channels, channels], LINEAR);
        let bias = kv.parameter("bias", [2 * channels], ZERO);
        let half = |first: usize| -> Result<Linear> {
            let rows = first * channels..(first + 1) * channels;
            Ok(Linear::from_parts(weight.slice(0, rows.clone())?, Some(bias.slice(0, rows)?)))
        };
        let (key, value) = (half(0)?, half(1)?);
        let projection = Linear::new(&scope.at("proj"), channels, channels, LINEAR, ZERO);
        let reduction = (sr > 1).then(|| {
            let conv = Conv2d::new(&scope.at("sr"), channels, channels, sr, sr, 0);
            (conv, LayerNorm::new(&scope.at("norm"), channels, 1e-5))
        });
        Ok(Attention { q, key, value, projection, reduction, heads })
    }

    /// x \[B, N, C\] on `grid` → the output \[B, N, C\] and the raw scores q·kᵀ \[B, heads, N, M\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, grid: Grid) -> Result<(Tensor, Tensor)> {
        let (batch, channels) = (x.shape()[0], x.shape()[2]);
        let source = match &self.reduction {
            None => x.clone(),
            Some((conv, norm)) => {
                let map = conv.forward(&x.reshape([batch, grid.height, grid.width, channels])?)?;
                let tokens = map.shape()[1] * map.shape()[2];
                norm.forward(&map.reshape([batch, tokens, channels])?)?
            }
        };
        let q = self.q.forward(x)?;
        let (key, value) = (self.key.forward(&source)?, self.value.forward(&source)?);
        let scores = q.attention_scores(&key, self.heads)?;
        let width = (channels / self.heads) as f64;
        let probabilities = scores.softmax(width.powf(-0.5))?;
        let output = self.projection.forward(&probabilities.attention_values(&value)?)?;
        Ok((output, scores))
    }
}

/// Linear, depth-wise 3×3, GELU, linear.
pub struct MixFfn {
    fc1: Linear,
    dwconv: DepthwiseConv2d,
    fc2: Linear,
}

impl MixFfn {
    /// Parameters `fc1`, `dwconv.dwconv`, `fc2`; `ratio` widens the hidden layer.
    pub fn new(scope: &Scope, channels: usize, ratio: usize) -> Self {
        let hidden = ratio * channels;
        MixFfn {
            fc1: Linear::new(&scope.at("fc1"), channels, hidden, LINEAR, ZERO),
            dwconv: DepthwiseConv2d::new(&scope.at("dwconv").at("dwconv"), hidden),
            fc2: Linear::new(&scope.at("fc2"), hidden, channels, LINEAR, ZERO),
        }
    }

    /// x \[B, N, C\] on `grid` → \[B, N, C\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, grid: Grid) -> Result<Tensor> {
        let hidden = self.fc1.forward(x)?;
        let (batch, width) = (hidden.shape()[0], hidden.shape()[2]);
        let map = self.dwconv.forward(&hidden.reshape([batch, grid.height, grid.width, width])?)?;
        self.fc2.forward(&map.gelu()?.reshape([batch, grid.tokens(), width])?)
    }
}

/// Pre-norm transformer block: x + DropPath(Attn(LN(x))), then x + DropPath(MixFFN(LN(x))).
pub struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: MixFfn,
    drop_rate: f64,
}

impl Block {
    /// Parameters `norm1`, `attn`, `norm2`, `mlp`.
    ///
    /// # Errors
    /// Never for positive sizes.
    pub fn new(scope: &Scope, channels: usize, heads: usize, sr: usize, ratio: usize, drop_rate: f64) -> Result<Self> {
        Ok(Block {
            norm1: LayerNorm::new(&scope.at("norm1"), channels, 1e-6),
            attention: Attention::new(&scope.at("attn"), channels, heads, sr)?,
            norm2: LayerNorm::new(&scope.at("norm2"), channels, 1e-6),
            mlp: MixFfn::new(&scope.at("mlp"), channels, ratio),
            drop_rate,
        })
    }

    /// x \[B, N, C\] → the same shape, and the attention's raw scores \[B, heads, N, M\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, grid: Grid, mode: &Mode) -> Result<(Tensor, Tensor)> {
        let (attended, scores) = self.attention.forward(&self.norm1.forward(x)?, grid)?;
        let x = x.add(&drop_path(&attended, self.drop_rate, mode)?)?;
        let mixed = self.mlp.forward(&self.norm2.forward(&x)?, grid)?;
        Ok((x.add(&drop_path(&mixed, self.drop_rate, mode)?)?, scores))
    }
}
