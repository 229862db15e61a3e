//! MiT, the Mix Transformer encoder (method.md 1), in the released sizes and an additional small one.

use std::sync::Arc;

use super::encoder::{Encoder, EncoderLayers, Features, Level, LevelSize, SCOPE};
#[cfg(feature = "native")]
use super::exporter::{Exporter, Window};
use super::mit_names;
use super::names::NamesElsewhere;
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Block, Conv2d, Grid, LayerNorm, Mode, Scope};
use crate::error::{Error, Result};
#[cfg(feature = "native")]
use crate::formats::onnx::Attribute;

/// Blocks of the last stage, from the end, whose scores the affinity head reads (method.md 2.1).
const SCORED_BLOCKS: usize = 2;

/// Rate of drop path in the last block (method.md 1.5).
const DROP_PATH: f64 = 0.1;

/// A size of MiT by its name in configurations; everything else is the same in all (method.md 1.1).
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    dims: [usize; 4],
    heads: [usize; 4],
    depths: [usize; 4],
}

const SMALL: [usize; 4] = [32, 64, 160, 256];
const LARGE: [usize; 4] = [64, 128, 320, 512];
const HEADS: [usize; 4] = [1, 2, 5, 8];

/// The smallest released size.
pub const B0: Variant = Variant { name: "mit_b0", dims: SMALL, heads: HEADS, depths: [2, 2, 2, 2] };
/// The size of the paper.
pub const B1: Variant = Variant { name: "mit_b1", dims: LARGE, heads: HEADS, depths: [2, 2, 2, 2] };
/// As B1, but deeper.
pub const B2: Variant = Variant { name: "mit_b2", dims: LARGE, heads: HEADS, depths: [3, 4, 6, 3] };
/// As B2, but deeper.
pub const B3: Variant = Variant { name: "mit_b3", dims: LARGE, heads: HEADS, depths: [3, 4, 18, 3] };
/// As B3, but deeper.
pub const B4: Variant = Variant { name: "mit_b4", dims: LARGE, heads: HEADS, depths: [3, 8, 27, 3] };
/// The deepest.
pub const B5: Variant = Variant { name: "mit_b5", dims: LARGE, heads: HEADS, depths: [3, 6, 40, 3] };
/// Small enough to train from scratch on a CPU; not a released size.
pub const NANO: Variant = Variant { name: "nano", dims: [16, 32, 64, 96], heads: [1, 2, 4, 8], depths: [1, 1, 1, 2] };

impl Variant {
    /// The encoder of this size, with the strides of a configuration.
    pub fn of(self, config: &Config) -> Mit {
        let Variant { name, dims, heads, depths } = self;
        let sizes = MitSizes {
            dims,
            heads,
            depths,
            mlp: [4; 4],
            sr: [8, 4, 2, 1],
            strides: config.model_strides,
            drop_path: DROP_PATH,
        };
        Mit { name: name.to_owned(), sizes }
    }

    /// The same as a listed encoder.
    pub(super) fn open(self, config: &Config) -> Arc<dyn Encoder> {
        Arc::new(self.of(config))
    }
}

/// Sizes of a MiT, stage by stage.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct MitSizes {
    /// Channels.
    pub dims: [usize; 4],
    /// Attention heads.
    pub heads: [usize; 4],
    /// Blocks.
    pub depths: [usize; 4],
    /// Widening of the mix-FFN.
    pub mlp: [usize; 4],
    /// Key reduction.
    pub sr: [usize; 4],
    /// Strides of the patch embeddings.
    pub strides: [usize; 4],
    /// Drop-path rate of the last block.
    pub drop_path: f64,
}

/// A MiT with any sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mit {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub sizes: MitSizes,
}

impl Encoder for Mit {
    fn name(&self) -> &str {
        &self.name
    }

    fn levels(&self) -> Vec<LevelSize> {
        let mut cell = 1;
        let level = |(&channels, stride): (&usize, &usize)| {
            cell *= stride;
            LevelSize { channels, stride: cell }
        };
        self.sizes.dims.iter().zip(&self.sizes.strides).map(level).collect()
    }

    fn score_heads(&self) -> Vec<usize> {
        let MitSizes { heads: [.., heads], depths: [.., depth], .. } = self.sizes;
        vec![heads; depth.min(SCORED_BLOCKS)]
    }

    /// At every stage, the reduced keys must have at least one cell (method.md 13, row 40). 29 with the released
    /// strides.
    fn smallest_side(&self) -> usize {
        let side = |(level, reduction): (LevelSize, &usize)| (reduction - 1) * level.stride + 1;
        self.levels().into_iter().zip(&self.sizes.sr).map(side).max().unwrap_or(1)
    }

    fn widest(&self, [height, width]: [usize; 2]) -> usize {
        let MitSizes { dims: [channels, ..], mlp: [widening, ..], strides: [stride, ..], .. } = self.sizes;
        widening * channels * height.div_ceil(stride) * width.div_ceil(stride)
    }

    /// Modules are numbered by stage, from 1.
    fn level_of(&self, parameter: &str) -> usize {
        let module = parameter.split('.').nth(1).unwrap_or_default();
        let stage = module.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(1);
        std::cmp::max(stage, 1) - 1
    }

    fn record(&self, scope: &Scope) -> Result<Box<dyn EncoderLayers>> {
        let MitSizes { dims, heads, depths, mlp, sr, strides, drop_path } = self.sizes;
        let positive = [dims, heads, depths, mlp, sr, strides].as_flattened().iter().all(|&size| size > 0);
        if !positive || !(0.0..1.0).contains(&drop_path) {
            let needs = "sizes above 0 and rates below 1";
            return Err(Error::Graph(format!("{self:?} is not a valid encoder: it needs {needs}")));
        }
        let total: usize = depths.iter().sum();
        let mut index = 0;
        let mut stages = Vec::new();
        for stage in 0..dims.len() {
            let name = |part: &str| scope.at(format!("{part}{}", stage + 1));
            let (inputs, kernel) = if stage == 0 { (3, 7) } else { (dims[stage - 1], 3) };
            let channels = dims[stage];
            let embed = PatchEmbed::new(&name("patch_embed"), inputs, channels, kernel, strides[stage]);
            let blocks = (0..depths[stage])
                .map(|block| {
                    // Rates rise linearly from 0 to the last block's (method.md 1.5).
                    let rate = drop_path * index as f64 / (total.max(2) - 1) as f64;
                    index += 1;
                    Block::new(&name("block").at(block), channels, heads[stage], sr[stage], mlp[stage], rate)
                })
                .collect::<Result<_>>()?;
            stages.push(Stage { embed, blocks, norm: LayerNorm::new(&name("norm"), channels, 1e-6) });
        }
        Ok(Box::new(MitLayers { stages }))
    }

    #[cfg(feature = "native")]
    fn export(&self, e: &mut Exporter<'_>, image: &str) -> Result<Vec<String>> {
        let MitSizes { depths, strides, .. } = self.sizes;
        let (mut map, mut levels) = (image.to_owned(), Vec::new());
        for stage in 0..depths.len() {
            let name = |part: &str| format!("{SCOPE}.{part}{}", stage + 1);
            let (kernel, embed) = (if stage == 0 { 7 } else { 3 }, name("patch_embed"));
            let window = Window { kernel, stride: strides[stage], padding: Some(kernel / 2), ..Window::PIXEL };
            let grid = e.conv(&map, &format!("{embed}.proj"), window)?;
            let tokens = e.tokens(&grid);
            let mut x = e.layer_norm(&tokens, &format!("{embed}.norm"), 1e-5)?;
            for block in 0..depths[stage] {
                x = self.export_block(e, &x, &grid, &format!("{}.{block}", name("block")), stage)?;
            }
            let tokens = e.layer_norm(&x, &name("norm"), 1e-6)?;
            map = e.map(&tokens, &grid);
            levels.push(map.clone());
        }
        Ok(levels)
    }

    #[cfg(feature = "native")]
    fn segformer(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        let MitSizes { dims, heads, depths, mlp, sr, strides, drop_path } = self.sizes;
        let lists = [
            ("hidden_sizes", dims),
            ("num_attention_heads", heads),
            ("depths", depths),
            ("mlp_ratios", mlp),
            ("sr_ratios", sr),
            ("strides", strides),
            ("patch_sizes", [7, 3, 3, 3]),
        ];
        let mut entries: serde_json::Map<_, _> =
            lists.into_iter().map(|(key, sizes)| (key.to_owned(), sizes.to_vec().into())).collect();
        entries.insert("num_encoder_blocks".into(), dims.len().into());
        entries.insert("drop_path_rate".into(), drop_path.into());
        Some(entries)
    }

    fn names_elsewhere(&self) -> &'static [NamesElsewhere] {
        &mit_names::NAMES
    }

    fn recognise(&self, tensors: &[(&str, &[usize])]) -> Option<String> {
        let (mut dims, mut depths) = ([0; 4], [0; 4]);
        for (name, shape) in tensors {
            for stage in 0..4 {
                let module = |kind: &str| {
                    let name = name.strip_prefix(SCOPE)?.strip_prefix('.')?;
                    name.strip_prefix(&format!("{kind}{}.", stage + 1))
                };
                if module("patch_embed") == Some("proj.weight") {
                    dims[stage] = shape.first().copied().unwrap_or(0);
                }
                let block = module("block").and_then(|rest| rest.strip_suffix(".norm1.weight"));
                if let Some(block) = block.and_then(|block| block.parse::<usize>().ok()) {
                    depths[stage] = depths[stage].max(block.saturating_add(1));
                }
            }
        }
        // The number of heads cannot be inferred from a file.
        match (dims, depths) == (self.sizes.dims, self.sizes.depths) {
            true => Some(self.name.clone()),
            false => (!dims.contains(&0)).then(|| format!("MiT of dims {dims:?} and depths {depths:?}")),
        }
    }
}

#[cfg(feature = "native")]
impl Mit {
    /// A block of `stage` on tokens with the grid of a map, as [`Block`].
    fn export_block(&self, e: &mut Exporter<'_>, x: &str, grid: &str, name: &str, stage: usize) -> Result<String> {
        let MitSizes { dims, heads, mlp, sr, .. } = self.sizes;
        let (channels, heads, hidden) = (dims[stage], heads[stage], mlp[stage] * dims[stage]);
        let normed = e.layer_norm(x, &format!("{name}.norm1"), 1e-6)?;
        let attention = format!("{name}.attn");
        let source = match sr[stage] {
            1 => normed.clone(),
            side => {
                let map = e.map(&normed, grid);
                let window = Window { kernel: side, stride: side, ..Window::PIXEL };
                let reduced = e.conv(&map, &format!("{attention}.sr"), window)?;
                let tokens = e.tokens(&reduced);
                e.layer_norm(&tokens, &format!("{attention}.norm"), 1e-5)?
            }
        };
        let query = e.linear(&normed, &format!("{attention}.q"))?;
        let key = e.linear_rows(&source, &format!("{attention}.kv"), 0, channels)?;
        let value = e.linear_rows(&source, &format!("{attention}.kv"), channels, channels)?;
        let split = e.onnx.integers(&[0, 0, heads as i64, (channels / heads) as i64]);
        let [query, key, value] =
            [(query, [0, 2, 1, 3]), (key, [0, 2, 3, 1]), (value, [0, 2, 1, 3])].map(|(x, order)| {
                let per_head = e.onnx.op("Reshape", &[&x, &split], &[]);
                e.transpose(&per_head, &order)
            });
        let scale = e.onnx.reals("scale", &[], &[((channels / heads) as f32).powf(-0.5)]);
        let scores = e.onnx.op("MatMul", &[&query, &key], &[]);
        let scores = e.onnx.op("Mul", &[&scores, &scale], &[]);
        let shares = e.onnx.op("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let attended = e.onnx.op("MatMul", &[&shares, &value], &[]);
        let attended = e.transpose(&attended, &[0, 2, 1, 3]);
        let joined = e.onnx.integers(&[0, 0, channels as i64]);
        let attended = e.onnx.op("Reshape", &[&attended, &joined], &[]);
        let attended = e.linear(&attended, &format!("{attention}.proj"))?;
        let x = e.onnx.op("Add", &[x, &attended], &[]);

        let normed = e.layer_norm(&x, &format!("{name}.norm2"), 1e-6)?;
        let wide = e.linear(&normed, &format!("{name}.mlp.fc1"))?;
        let map = e.map(&wide, grid);
        let window = Window { kernel: 3, padding: Some(1), groups: hidden, ..Window::PIXEL };
        let map = e.conv(&map, &format!("{name}.mlp.dwconv.dwconv"), window)?;
        let tokens = e.tokens(&map);
        let active = e.gelu(&tokens);
        let mixed = e.linear(&active, &format!("{name}.mlp.fc2"))?;
        Ok(e.onnx.op("Add", &[&x, &mixed], &[]))
    }
}

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

/// The recorded stages of transformer blocks: parameters `patch_embed{i}`, `block{i}.{j}`, `norm{i}`.
struct MitLayers {
    stages: Vec<Stage>,
}

impl EncoderLayers for MitLayers {
    fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Features> {
        let mut map = image.clone();
        let mut features = Features { levels: Vec::new(), scores: Vec::new() };
        for (index, stage) in self.stages.iter().enumerate() {
            let last = index + 1 == self.stages.len();
            let (mut x, grid) = stage.embed.forward(&map)?;
            for block in &stage.blocks {
                let (next, scores) = block.forward(&x, grid, mode)?;
                x = next;
                if last {
                    features.scores.push(scores);
                }
            }
            // The next stage takes the normalised tokens.
            let level = Level { tokens: stage.norm.forward(&x)?, grid };
            map = level.map()?;
            features.levels.push(level);
        }
        features.scores.drain(..features.scores.len().saturating_sub(SCORED_BLOCKS));
        Ok(features)
    }
}
