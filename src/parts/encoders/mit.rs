//! MiT, the Mix Transformer encoder (spec 1).

use crate::engine::graph::Tensor;
use crate::engine::nn::{Block, Conv2d, Grid, LayerNorm, Mode, Scope, Scores};
use crate::error::Result;
use crate::parts::network::NetworkConfig;

/// Overlapping patches: convolution, flatten, layer norm.
pub struct PatchEmbed {
    projection: Conv2d,
    norm: LayerNorm,
}

impl PatchEmbed {
    /// Parameters `proj` and `norm`; padding is half the kernel.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        let projection = Conv2d::new(&scope.at("proj"), inputs, outputs, kernel, stride, kernel / 2);
        PatchEmbed { projection, norm: LayerNorm::new(&scope.at("norm"), outputs, 1e-5) }
    }

    /// x \[B, H, W, C\] → tokens \[B, N, C'\] and their grid.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Grid)> {
        let map = self.projection.forward(x)?;
        let [batch, height, width, channels] = map.extents()?;
        let grid = Grid { height, width };
        let tokens = map.reshape([batch, grid.tokens(), channels])?;
        Ok((self.norm.forward(&tokens)?, grid))
    }
}

struct Stage {
    embed: PatchEmbed,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

/// Four stages of transformer blocks.
pub struct Encoder {
    stages: Vec<Stage>,
}

/// What the encoder gives.
pub struct Features {
    /// X1…X4: normalised tokens \[B, N_i, C_i\].
    pub tokens: Vec<Tensor>,
    /// Their grids.
    pub grids: Vec<Grid>,
    /// Attention scores of the last two blocks of stage 4, \[B, heads, N, N\]. If the stage has only one block,
    /// the list has one entry.
    pub scores: Vec<Scores>,
}

impl Encoder {
    /// Parameters `patch_embed{i}`, `block{i}.{j}`, `norm{i}`.
    ///
    /// # Errors
    /// [`Error::Graph`](crate::error::Error::Graph) if the heads of a stage do not share its channels.
    pub fn new(scope: &Scope, config: &NetworkConfig) -> Result<Self> {
        let total: usize = config.depths.iter().sum();
        let mut index = 0;
        let mut stages = Vec::new();
        for stage in 0..4 {
            let name = |part: &str| scope.at(format!("{part}{}", stage + 1));
            let inputs = if stage == 0 { 3 } else { config.dims[stage - 1] };
            let (channels, kernel) = (config.dims[stage], if stage == 0 { 7 } else { 3 });
            let embed = PatchEmbed::new(&name("patch_embed"), inputs, channels, kernel, config.strides[stage]);
            let blocks = (0..config.depths[stage])
                .map(|block| {
                    // Rates rise linearly from 0 to the last block's (spec 1.5).
                    let rate = config.drop_path * index as f64 / (total.max(2) - 1) as f64;
                    index += 1;
                    let scope = name("block").at(block);
                    Block::new(&scope, channels, config.heads[stage], config.sr[stage], config.mlp[stage], rate)
                })
                .collect::<Result<_>>()?;
            stages.push(Stage { embed, blocks, norm: LayerNorm::new(&name("norm"), channels, 1e-6) });
        }
        Ok(Encoder { stages })
    }

    /// image \[B, 3, H, W\] → features of all stages.
    ///
    /// # Errors
    /// If the image is too small for the coarsest key reduction.
    pub fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Features> {
        let mut map = image.permute(&[0, 2, 3, 1])?;
        let mut features = Features { tokens: Vec::new(), grids: Vec::new(), scores: Vec::new() };
        for (index, stage) in self.stages.iter().enumerate() {
            let (mut x, grid) = stage.embed.forward(&map)?;
            for block in &stage.blocks {
                let (next, scores) = block.forward(&x, grid, mode)?;
                x = next;
                if index == 3 {
                    features.scores.push(scores);
                }
            }
            // The next stage takes the normalised tokens.
            let x = stage.norm.forward(&x)?;
            let [batch, _, channels] = x.extents()?;
            map = x.reshape([batch, grid.height, grid.width, channels])?;
            features.tokens.push(x);
            features.grids.push(grid);
        }
        features.scores.drain(..features.scores.len().saturating_sub(2));
        Ok(features)
    }
}
