//! EfficientNet-Lite, a convolutional encoder (method.md 1.7): inverted bottlenecks of depth-wise convolutions, ReLU6,
//! no squeeze and excitation, no attention.

use std::iter::repeat_n;
use std::sync::Arc;

use super::efficientnet_lite_names as names;
use super::encoder::{Encoder, EncoderLayers, Features, Level, LevelSize, SCOPE};
#[cfg(feature = "native")]
use super::exporter::{Exporter, Window};
use super::names::NamesElsewhere;
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Init, Mode, Scope};
use crate::engine::ops::conv2d::{Padding, Taps};
use crate::error::{Error, Result};

/// Channels of the stem, which no size scales.
const STEM: usize = 32;

/// The largest stride: a block that would exceed it keeps it, and later depth-wise kernels are dilated instead.
const LARGEST_STRIDE: usize = 16;

/// Added to a running variance.
const EPS: f64 = 1e-3;

/// Blocks of one width.
struct Stage {
    /// Widening inside a block.
    expansion: usize,
    /// Side of the depth-wise kernel.
    kernel: usize,
    /// Channels that a block gives, before scaling.
    channels: usize,
    /// Blocks, before scaling.
    repeats: usize,
    /// Stride of the first block.
    stride: usize,
    /// Whether its result is a level of features.
    level: bool,
}

impl Stage {
    const fn new([expansion, kernel, channels, repeats, stride]: [usize; 5], level: bool) -> Self {
        Stage { expansion, kernel, channels, repeats, stride, level }
    }
}

/// The stages of all sizes.
const STAGES: [Stage; 7] = [
    Stage::new([1, 3, 16, 1, 1], false),
    Stage::new([6, 3, 24, 2, 2], true),
    Stage::new([6, 5, 40, 2, 2], true),
    Stage::new([6, 3, 80, 3, 2], false),
    Stage::new([6, 5, 112, 3, 1], true),
    Stage::new([6, 5, 192, 4, 2], false),
    Stage::new([6, 3, 320, 1, 1], true),
];

/// An EfficientNet-Lite of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EfficientNetLite {
    /// Its name.
    pub name: &'static str,
    /// Factor of the channels of all stages.
    width: f64,
    /// Factor of the blocks of all stages but the first and the last.
    depth: f64,
}

/// The smallest size.
pub const LITE0: EfficientNetLite = EfficientNetLite { name: "efficientnet_lite0", width: 1.0, depth: 1.0 };
/// As Lite0, deeper.
pub const LITE1: EfficientNetLite = EfficientNetLite { name: "efficientnet_lite1", width: 1.0, depth: 1.1 };
/// Wider and deeper.
pub const LITE2: EfficientNetLite = EfficientNetLite { name: "efficientnet_lite2", width: 1.1, depth: 1.2 };

/// Sizes of an inverted bottleneck.
#[derive(Clone, Copy, Debug)]
struct BlockSize {
    inputs: usize,
    /// Channels inside.
    inner: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Stride of the input and of the output with respect to the image.
    strides: [usize; 2],
    /// Whether its result is a level of features.
    level: bool,
}

impl EfficientNetLite {
    /// The same as one of the listed encoders.
    pub(super) fn open(self) -> Arc<dyn Encoder> {
        Arc::new(self)
    }

    /// Scaled channels: the nearest multiple of 8, or the next one where more than a tenth would be lost.
    fn channels(&self, channels: usize) -> usize {
        let scaled = self.width * channels as f64;
        let rounded = ((scaled / 8.0 + 0.5).floor() as usize * 8).max(8);
        if (rounded as f64) < 0.9 * scaled { rounded + 8 } else { rounded }
    }

    /// All blocks, in order.
    fn blocks(&self) -> Vec<BlockSize> {
        let mut blocks = Vec::new();
        let (mut inputs, mut reached, mut dilation) = (STEM, 2, 1);
        for (index, stage) in STAGES.iter().enumerate() {
            let scaled = index > 0 && index + 1 < STAGES.len();
            let depth = if scaled { self.depth } else { 1.0 };
            let repeats = (depth * stage.repeats as f64).ceil() as usize;
            let outputs = self.channels(stage.channels);
            for (block, step) in std::iter::once(stage.stride).chain(repeat_n(1, repeats - 1)).enumerate() {
                let stride = if reached * step > LARGEST_STRIDE { 1 } else { step };
                blocks.push(BlockSize {
                    inputs,
                    inner: stage.expansion * inputs,
                    outputs,
                    kernel: stage.kernel,
                    stride,
                    dilation,
                    strides: [reached, reached * stride],
                    level: stage.level && block + 1 == repeats,
                });
                reached *= stride;
                dilation *= step / stride;
                inputs = outputs;
            }
        }
        blocks
    }
}

impl Encoder for EfficientNetLite {
    fn name(&self) -> &str {
        self.name
    }

    fn levels(&self) -> Vec<LevelSize> {
        let levels = self.blocks().into_iter().filter(|block| block.level);
        levels.map(|block| LevelSize { channels: block.outputs, stride: block.strides[1] }).collect()
    }

    /// SAME padding leaves a cell of any image.
    fn smallest_side(&self) -> usize {
        1
    }

    fn widest(&self, size: [usize; 2]) -> usize {
        let cells = |stride: usize| size.iter().map(|side| side.div_ceil(stride)).product::<usize>();
        self.blocks().iter().map(|block| block.inner * cells(block.strides[0])).max().unwrap_or(1)
    }

    fn is_random(&self) -> bool {
        false
    }

    fn is_norm(&self, parameter: &str) -> bool {
        parameter.rsplit('.').nth(1).is_some_and(|module| module.starts_with("_bn"))
    }

    fn level_of(&self, parameter: &str) -> usize {
        let block = parameter.split("._blocks.").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
        let before = self.blocks().into_iter().take(block.unwrap_or(0));
        before.filter(|block| block.level).count()
    }

    fn check(&self, config: &Config) -> Result<()> {
        if config.model_strides == Config::default().model_strides {
            return Ok(());
        }
        let reason = format!("applies to the patch embeddings of MiT, and encoder `{}` has none", self.name);
        Err(Error::config("model.strides", reason, "remove the option, or choose a MiT encoder"))
    }

    fn record(&self, scope: &Scope) -> Result<Box<dyn EncoderLayers>> {
        let stem = Folded::new(scope, ["_conv_stem", "_bn0"], [STEM, 3, 3, 3])?;
        let blocks =
            self.blocks().into_iter().enumerate().map(|(index, size)| Block::new(&scope.at("_blocks").at(index), size));
        Ok(Box::new(Layers { stem: (Taps::new(&stem.weight), stem.bias), blocks: blocks.collect::<Result<_>>()? }))
    }

    #[cfg(feature = "native")]
    fn export(&self, e: &mut Exporter<'_>, image: &str) -> Result<Vec<String>> {
        let pixel = Window::PIXEL;
        let stem = Window { kernel: 3, stride: 2, padding: None, ..pixel };
        let mut map = export_folded(e, image, SCOPE, ["_conv_stem", "_bn0"], stem)?;
        map = relu6(e, &map);
        let mut levels = Vec::new();
        for (index, block) in self.blocks().into_iter().enumerate() {
            let BlockSize { inputs, inner, outputs, kernel, stride, dilation, level, .. } = block;
            let scope = format!("{SCOPE}._blocks.{index}");
            let mut x = map.clone();
            if inner != inputs {
                x = export_folded(e, &x, &scope, ["_expand_conv", "_bn0"], pixel)?;
                x = relu6(e, &x);
            }
            // A dilated kernel has stride 1, so that SAME pads alike on all sides.
            let padding = (dilation > 1).then_some(dilation * (kernel - 1) / 2);
            let window = Window { kernel, stride, dilation, groups: inner, padding };
            x = export_folded(e, &x, &scope, ["_depthwise_conv", "_bn1"], window)?;
            x = relu6(e, &x);
            x = export_folded(e, &x, &scope, ["_project_conv", "_bn2"], pixel)?;
            map = if (stride, inputs) == (1, outputs) { e.onnx.op("Add", &[&x, &map], &[]) } else { x };
            if level {
                levels.push(map.clone());
            }
        }
        Ok(levels)
    }

    fn names_elsewhere(&self) -> &'static [NamesElsewhere] {
        &names::NAMES
    }

    fn recognise(&self, tensors: &[(&str, &[usize])]) -> Option<String> {
        let channels = |block: usize| {
            let name = format!("{SCOPE}._blocks.{block}._project_conv.weight");
            tensors.iter().find(|(known, _)| *known == name).and_then(|(_, shape)| shape.first().copied())
        };
        let found: Vec<_> = (0..).map_while(channels).collect();
        let own: Vec<_> = self.blocks().iter().map(|block| block.outputs).collect();
        match found == own {
            true => Some(self.name.to_owned()),
            false => {
                Some(format!("EfficientNet of {} blocks with up to {} channels", found.len(), found.iter().max()?))
            }
        }
    }
}

/// A convolution without bias and the batch norm behind it, as one convolution. With γ, β and the running statistics μ
/// and v of the norm, per output: weight·γ / √(v + ε), and the bias β − μ·γ / √(v + ε).
struct Folded {
    /// \[outputs, inputs, k, k\].
    weight: Tensor,
    /// \[outputs\].
    bias: Tensor,
}

impl Folded {
    /// Parameters of the convolution and of the norm, each under its name.
    fn new(scope: &Scope, [convolution, norm]: [&str; 2], shape: [usize; 4]) -> Result<Self> {
        let [outputs, _, kernel, _] = shape;
        // He's, by the fan of the output; a depth-wise convolution has one output a channel.
        let fan = if shape[1] == 1 { kernel * kernel } else { kernel * kernel * outputs };
        let weight = scope.at(convolution).parameter("weight", shape, Init::Normal((2.0 / fan as f64).sqrt()));
        let norm = scope.at(norm);
        let gamma = norm.parameter("weight", [outputs], Init::Constant(1.0));
        let beta = norm.parameter("bias", [outputs], Init::Constant(0.0));
        let mean = norm.statistic("running_mean", [outputs], Init::Constant(0.0));
        let variance = norm.statistic("running_var", [outputs], Init::Constant(1.0));
        let gain = gamma.div(&variance.offset(EPS)?.sqrt()?)?;
        Ok(Folded { weight: weight.mul(&gain.reshape([outputs, 1, 1, 1])?)?, bias: beta.sub(&mean.mul(&gain)?)? })
    }

    /// As a convolution of 1×1: \[B, H, W, inputs\] → \[B, H, W, outputs\].
    fn linear(&self, x: &Tensor) -> Result<Tensor> {
        let [outputs, inputs, ..]: [usize; 4] = self.weight.extents()?;
        x.linear(&self.weight.reshape([outputs, inputs])?, Some(&self.bias))
    }
}

/// A convolution with the batch norm behind it, see [`Folded`].
#[cfg(feature = "native")]
fn export_folded(
    e: &mut Exporter<'_>,
    map: &str,
    scope: &str,
    [convolution, norm]: [&str; 2],
    window: Window,
) -> Result<String> {
    let (shape, weight) = e.weight(&format!("{scope}.{convolution}.weight"))?;
    let of_norm = |part: &str| e.weight(&format!("{scope}.{norm}.{part}")).map(|(_, values)| values);
    let [gamma, beta] = [of_norm("weight")?, of_norm("bias")?];
    let [mean, variance] = [of_norm("running_mean")?, of_norm("running_var")?];
    let outputs = gamma.len();
    let gain: Vec<f64> = (0..outputs).map(|o| f64::from(gamma[o]) / (f64::from(variance[o]) + EPS).sqrt()).collect();
    let row = weight.len() / outputs.max(1);
    let weight: Vec<f32> =
        weight.iter().enumerate().map(|(index, weight)| (f64::from(*weight) * gain[index / row]) as f32).collect();
    let bias: Vec<f32> = (0..outputs).map(|o| (f64::from(beta[o]) - f64::from(mean[o]) * gain[o]) as f32).collect();
    Ok(e.conv_with(map, (shape, &weight), &bias, window))
}

#[cfg(feature = "native")]
fn relu6(e: &mut Exporter<'_>, x: &str) -> String {
    let [low, high] = [0.0, 6.0].map(|number| e.onnx.reals("number", &[], &[number]));
    e.onnx.op("Clip", &[x, &low, &high], &[])
}

/// An inverted bottleneck: 1×1 to the inner channels, depth-wise, 1×1 to the outputs; plus the input where shapes allow.
struct Block {
    size: BlockSize,
    /// Where the inner channels are more than the inputs.
    expand: Option<Folded>,
    depthwise: Folded,
    project: Folded,
}

impl Block {
    fn new(scope: &Scope, size: BlockSize) -> Result<Self> {
        let BlockSize { inputs, inner, outputs, kernel, .. } = size;
        let expand = (inner != inputs).then(|| Folded::new(scope, ["_expand_conv", "_bn0"], [inner, inputs, 1, 1]));
        Ok(Block {
            size,
            expand: expand.transpose()?,
            depthwise: Folded::new(scope, ["_depthwise_conv", "_bn1"], [inner, 1, kernel, kernel])?,
            project: Folded::new(scope, ["_project_conv", "_bn2"], [outputs, inner, 1, 1])?,
        })
    }

    /// \[B, H, W, inputs\] → \[B, ⌈H / stride⌉, ⌈W / stride⌉, outputs\].
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let BlockSize { inputs, outputs, kernel, stride, dilation, .. } = self.size;
        let wide = match &self.expand {
            Some(expand) => expand.linear(x)?.relu6()?,
            None => x.clone(),
        };
        let [_, height, width, _] = wide.extents()?;
        let padding = Padding::same([height, width], kernel, stride, dilation);
        let Folded { weight, bias } = &self.depthwise;
        let y = self.project.linear(&wide.depthwise_conv2d(weight, bias, stride, dilation, padding)?.relu6()?)?;
        if (stride, inputs) == (1, outputs) { y.add(x) } else { Ok(y) }
    }
}

/// The recorded layers: parameters `_conv_stem`, `_bn0` and `_blocks.{j}`. Running statistics normalise in any mode, so
/// that no images of a batch are coupled.
struct Layers {
    /// Weight and bias.
    stem: (Taps, Tensor),
    blocks: Vec<Block>,
}

impl EncoderLayers for Layers {
    fn forward(&self, image: &Tensor, _mode: &Mode) -> Result<Features> {
        let [_, height, width, _] = image.extents()?;
        let (taps, bias) = &self.stem;
        let mut map = image.conv2d_with(taps, Some(bias), 2, Padding::same([height, width], 3, 2, 1))?.relu6()?;
        let mut levels = Vec::new();
        for block in &self.blocks {
            map = block.forward(&map)?;
            if block.size.level {
                levels.push(Level::of_map(&map)?);
            }
        }
        Ok(Features { levels, scores: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: an option of MiT alone is not ignored in silence.
    #[test]
    fn strides_are_refused() {
        let mut config = Config::default();
        LITE0.check(&config).unwrap();
        config.set("model.strides=[4, 2, 2, 2]").unwrap();
        let text = LITE0.check(&config).unwrap_err().to_string();
        assert!(text.contains("`model.strides`") && text.contains("`efficientnet_lite0` has none"), "{text}");
    }

    /// Protects: the published sizes. Channels are rounded to multiples of 8, the stem and the number of first and last
    /// blocks are not scaled; from the sixth stage on, dilation takes the place of a stride of 32.
    #[test]
    fn sizes_are_those_of_the_published_files() {
        let outputs = |lite: EfficientNetLite| lite.blocks().iter().map(|block| block.outputs).collect::<Vec<_>>();
        let repeated = |channels: [usize; 7], repeats: [usize; 7]| {
            channels
                .into_iter()
                .zip(repeats)
                .flat_map(|(channels, count)| repeat_n(channels, count))
                .collect::<Vec<_>>()
        };
        assert_eq!(outputs(LITE0), repeated([16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]));
        assert_eq!(outputs(LITE1), repeated([16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]));
        assert_eq!(outputs(LITE2), repeated([16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]));
        let blocks = LITE0.blocks();
        let dilations: Vec<_> = blocks.iter().map(|block| block.dilation).collect();
        assert_eq!(dilations, [&[1; 12][..], &[2; 4]].concat());
        assert!(blocks.iter().all(|block| block.strides[1] <= 16 && (block.stride == 1 || block.dilation == 1)));
        // 96 channels at half the side of the image.
        assert_eq!(LITE0.widest([192, 160]), 96 * 96 * 80);
    }
}
