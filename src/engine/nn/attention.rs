//! The transformer block of MiT (method.md 1.3).

use super::layers::{Conv2d, DepthwiseConv2d, LayerNorm, Linear, drop_path};
use super::mode::Mode;
use super::parameters::{Init, Scope};
use crate::engine::graph::Tensor;
use crate::engine::ops::attention::Heads;
use crate::error::{Error, Result};

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

/// Weights of encoder linears: std 0.02 (method.md 1.6).
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
    /// [`Error::Graph`] if the number of channels is not divisible by the heads.
    pub fn new(scope: &Scope, channels: usize, heads: usize, sr: usize) -> Result<Self> {
        if channels == 0 || !channels.is_multiple_of(heads) {
            return Err(Error::Graph(format!("attention: {channels} channels are not divisible by {heads} heads")));
        }
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

    /// x \[B, N, C\] on `grid` → the output \[B, N, C\] and the operands of its scores.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, grid: Grid) -> Result<(Tensor, Scores)> {
        let [batch, _, channels] = x.extents()?;
        let source = match &self.reduction {
            None => x.clone(),
            Some((conv, norm)) => {
                let map = conv.forward(&x.reshape([batch, grid.height, grid.width, channels])?)?;
                let [_, height, width, _] = map.extents()?;
                norm.forward(&map.reshape([batch, height * width, channels])?)?
            }
        };
        let q = self.q.forward(x)?;
        let (key, value) = (self.key.forward(&source)?, self.value.forward(&source)?);
        let scores = Scores { query: q, key, heads: self.heads };
        let scale = ((channels / self.heads) as f64).powf(-0.5);
        let attended = match scores.bytes() > STORED && channels.is_multiple_of(4 * self.heads) {
            true => scores.query.attention(&scores.key, &value, Heads { count: self.heads, scale })?,
            false => scores.raw()?.softmax_scaled(scale)?.attention_values(&value)?,
        };
        Ok((self.projection.forward(&attended)?, scores))
    }
}

/// Scores of up to so many bytes are stored, which is faster; larger ones are recomputed where they are needed.
const STORED: usize = 16 << 20;

/// The raw scores of an attention, q·kᵀ per head, as their operands.
#[derive(Clone)]
pub struct Scores {
    /// Queries \[B, N, C\].
    pub query: Tensor,
    /// Keys \[B, M, C\].
    pub key: Tensor,
    /// Heads, which share the channels.
    pub heads: usize,
}

impl Scores {
    /// R \[B, heads, N, M\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn raw(&self) -> Result<Tensor> {
        self.query.attention_scores(&self.key, self.heads)
    }

    /// Σ_h w_h·R_h \[B, N, M\] for `weight` \[heads\]: one product of the keys with weighted queries, so that no R is
    /// ever stored.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn mixed(&self, weight: &Tensor) -> Result<Tensor> {
        let [batch, tokens, channels] = self.query.extents()?;
        // Heads that do not divide the channels are refused by the shape.
        let width = channels.checked_div(self.heads).unwrap_or(0);
        let per_head = self.query.reshape([batch, tokens, self.heads, width])?;
        per_head.mul(&weight.reshape([self.heads, 1])?)?.reshape([batch, tokens, channels])?.matmul_nt(&self.key)
    }

    fn bytes(&self) -> usize {
        let [query, key] = [self.query.shape(), self.key.shape()];
        [self.heads, query[0], query[1], key[1]].into_iter().fold(4, usize::saturating_mul)
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
        let [batch, _, width] = hidden.extents()?;
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
    /// [`Error::Graph`] if the number of channels is not divisible by the heads.
    pub fn new(scope: &Scope, channels: usize, heads: usize, sr: usize, ratio: usize, drop_rate: f64) -> Result<Self> {
        Ok(Block {
            norm1: LayerNorm::new(&scope.at("norm1"), channels, 1e-6),
            attention: Attention::new(&scope.at("attn"), channels, heads, sr)?,
            norm2: LayerNorm::new(&scope.at("norm2"), channels, 1e-6),
            mlp: MixFfn::new(&scope.at("mlp"), channels, ratio),
            drop_rate,
        })
    }

    /// x \[B, N, C\] → the same shape, and the attention's scores.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, grid: Grid, mode: &Mode) -> Result<(Tensor, Scores)> {
        let (attended, scores) = self.attention.forward(&self.norm1.forward(x)?, grid)?;
        let x = x.add(&drop_path(&attended, self.drop_rate, mode)?)?;
        let mixed = self.mlp.forward(&self.norm2.forward(&x)?, grid)?;
        Ok((x.add(&drop_path(&mixed, self.drop_rate, mode)?)?, scores))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::{DType, Graph};
    use crate::engine::session::Session;

    /// Protects: attention with recomputed scores equals that with stored ones, and the mix of heads that of raw
    /// scores.
    #[test]
    fn both_forms_agree() {
        let graph = Graph::new();
        let [query, key, value] =
            [("q", 5), ("k", 3), ("v", 3)].map(|(name, tokens)| graph.input(name, [2, tokens, 8], DType::F32));
        let scores = Scores { query, key, heads: 2 };
        let heads = Heads { count: 2, scale: 0.5 };
        let anew = scores.query.attention(&scores.key, &value, heads).unwrap();
        let stored = scores.raw().unwrap().softmax_scaled(0.5).unwrap().attention_values(&value).unwrap();
        let weight = graph.constant(&[0.75, -2.0], [2]);
        let mixed = scores.mixed(&weight).unwrap();
        let sum = scores.raw().unwrap().mul(&weight.reshape([2, 1, 1]).unwrap()).unwrap().sum_keep(1).unwrap();
        let outputs = [&anew, &stored, &mixed, &sum];
        let mut program = Session::open("reference").unwrap().compile(&graph, &outputs).unwrap();
        for (input, factor) in [(&scores.query, 37), (&scores.key, 53), (&value, 71)] {
            let values: Vec<_> =
                (0..input.shape().len()).map(|index| (index * factor % 17) as f64 / 8.0 - 1.0).collect();
            program.write(input, &values).unwrap();
        }
        program.run().unwrap();
        let [anew, stored, mixed, sum] = outputs.map(|output| program.read(output).unwrap());
        for (one, other) in anew.iter().chain(&mixed).zip(stored.iter().chain(&sum)) {
            assert!((one - other).abs() < 1e-12, "{one} {other}");
        }
    }
}
