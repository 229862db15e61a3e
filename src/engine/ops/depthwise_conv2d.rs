//! Depth-wise 3×3 convolution: every channel by itself.

use super::matmul::mismatch;
use super::rows::{Lanes, split_rows};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// x \[B, H, W, C\], taps \[9, C\], bias \[C\] → \[B, H, W, C\].
#[derive(Debug)]
struct DepthwiseConv2d;

/// Its gradient with respect to x; inputs grad and taps.
#[derive(Debug)]
struct InputGradient;

/// Its gradients with respect to the taps and the bias, \[10, C\]; inputs x and grad.
#[derive(Debug)]
struct WeightGradient;

/// The launch that slides along the rows of an image, forward or mirrored.
fn slide(context: &LaunchContext<'_>) -> Launch {
    let [batch, height, width, channels] = extents(context.output);
    let lanes = Lanes::of(channels);
    let loads = channels / lanes.count;
    // Long runs need the fewest loads; they are split if there would be too few invocations.
    let rows = batch * height;
    let runs = (context.target.busy() / (rows * loads)).clamp(1, width.div_ceil(4)).max(width.div_ceil(MOST_TURNS));
    let run = width.div_ceil(runs);
    let runs = width.div_ceil(run);
    let total = rows * runs * loads;
    let launch = Launch::new(shader!("depthwise_conv2d"), total, 1)
        .operations(&[18, context.output.shape.len()])
        .uints(&[total, height, width, loads, run, runs]);
    lanes.of_launch(launch, &[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output])
}

/// The four extents of an image; the shape rule has checked that there are four.
fn extents(image: &TensorType) -> [usize; 4] {
    [0, 1, 2, 3].map(|axis| image.shape.get(axis).copied().unwrap_or(1))
}

impl Op for DepthwiseConv2d {
    fn name(&self) -> &'static str {
        "depthwise_conv2d"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let x = inputs[0];
        if x.shape.rank() != 4 || x.shape.is_empty() || x.dtype != DType::F32 {
            return Err("needs a real image [B, H, W, C]".into());
        }
        if inputs[1].shape[..] != [9, x.shape[3]] || inputs[2].shape[..] != [x.shape[3]] {
            return Err("needs nine taps and one bias per channel".into());
        }
        Ok(x.clone())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [x, taps, _] = context.inputs else { return Err(BackwardError::Undefined) };
        let mut gradients = vec![None; 3];
        if context.needed[0] {
            gradients[0] = Some(Tensor::record(InputGradient, &[context.grad, taps])?);
        }
        if context.needed[1] || context.needed[2] {
            let sums = Tensor::record(WeightGradient, &[x, context.grad])?;
            gradients[1] = Some(sums.slice(0, 0..9)?);
            gradients[2] = Some(sums.slice(0, 9..10)?.reshape([sums.shape()[1]])?);
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        slide(context).bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::depthwise_conv2d(inputs[0], inputs[1], inputs[2])]
    }
}

impl Op for InputGradient {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_input"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        slide(context).define("MIRRORED", 1).bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::input_gradient(inputs[0], inputs[1])]
    }
}

impl Op for WeightGradient {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_weight"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(TensorType::f32([10, extents(inputs[0])[3]]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let [batch, height, width, channels] = extents(context.inputs[0]);
        let lanes = Lanes::of(channels);
        let loads = channels / lanes.count;
        let rows = batch * height;
        let (chunk, chunks) = split_rows(rows, 32usize.div_ceil(width), loads, width + 1, context.target);
        let first = Launch::new(shader!("depthwise_conv2d_weight"), loads * chunks, 1)
            .operations(&[19, context.inputs[0].shape.len()])
            .uints(&[rows, height, width, loads, chunk, chunks])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Scratch(0)]);
        let first = lanes.of_launch(first, &[Slot::Input(0), Slot::Input(1)]);
        let second = super::reduce::sum_of_chunks(chunks, 10 * channels);
        Launches { list: vec![first, second], scratch: vec![chunks * 10 * channels] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::weight_gradient(inputs[0], inputs[1])]
    }
}

impl Tensor {
    /// Depth-wise 3×3 convolution with stride 1 and zero padding 1: \[B, H, W, C\] with weight \[C, 1, 3, 3\] and
    /// bias \[C\] → \[B, H, W, C\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    #[track_caller]
    pub fn depthwise_conv2d(&self, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let channels = weight.shape().first().copied().unwrap_or(0);
        if weight.shape()[..] != [channels, 1, 3, 3] {
            return Err(mismatch("depthwise_conv2d", &[self, weight, bias], "needs a weight [C, 1, 3, 3]"));
        }
        // Neighbouring channels lie together in the image; so they must in the weight.
        let taps = weight.reshape([channels, 9])?.permute(&[1, 0])?;
        Tensor::record(DepthwiseConv2d, &[self, &taps, bias])
    }
}
