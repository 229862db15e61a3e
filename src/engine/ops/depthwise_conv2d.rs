//! Depth-wise convolution: every channel by itself, under windows of 3×3 or 5×5.

use super::matmul::mismatch;
use super::rows::{Lanes, split_rows};
use crate::engine::geometry::window::{Padding, Window};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Border, Launch, LaunchContext, Launches, MOST_TURNS, Registers, Slot, Target, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// x \[B, H, W, C\], taps \[k·k, C\], bias \[C\] → \[B, OH, OW, C\].
#[derive(Debug)]
struct DepthwiseConv2d(Window);

/// Its gradient with respect to x, whose extents \[H, W\] it knows; inputs grad and taps.
#[derive(Debug)]
struct InputGradient(Window, [usize; 2]);

/// Its gradients with respect to the taps and the bias, \[k·k + 1, C\]; inputs x and grad.
#[derive(Debug)]
struct WeightGradient(Window);

/// How an invocation of a kernel slides along the rows of a result.
struct Slide {
    /// What it loads at once.
    lanes: Lanes,
    /// Loads of a pixel.
    loads: usize,
    /// Pixels of the result from one that it computes to the next: only such neighbours read the same columns.
    step: usize,
    /// How many it computes.
    run: usize,
    /// Runs of a row whose pixels are `step` apart.
    runs: usize,
    /// How it finds the zeros around the image.
    border: Border,
}

impl Slide {
    fn new([batch, height, width, channels]: [usize; 4], side: usize, step: usize, target: Target) -> Self {
        let lanes = Lanes::at_most(target.channels_under(side), channels);
        let loads = channels / lanes.count;
        // Long runs need the fewest loads; they are split if there would be too few invocations.
        let pixels = width.div_ceil(step);
        let busy = target.busy() / (batch * height * loads * step);
        // Neighbouring invocations of a software device make the turns of both loops, where there are two.
        let most = if target.kernels.depthwise_border == Border::Apart { MOST_TURNS / 2 } else { MOST_TURNS };
        let runs = busy.clamp(1, pixels.div_ceil(4)).max(pixels.div_ceil(most));
        let run = pixels.div_ceil(runs);
        Slide { lanes, loads, step, run, runs: pixels.div_ceil(run), border: target.kernels.depthwise_border }
    }

    /// A launch on an image for a result of given extents, with the parameters that the kernel has.
    fn launch(&self, image: [usize; 4], window: &Window, result: [usize; 4], slots: &[Slot]) -> Launch {
        let ([_, height, width, _], [batch, rows, columns, channels]) = (image, result);
        let Window { kernel, stride, dilation, padding } = window;
        let [above, left] = padding.before;
        let total = batch * rows * self.runs * self.step * self.loads;
        let launch = Launch::new(shader!("depthwise_conv2d"), total, 1)
            .operations(&[2, *kernel, *kernel, batch, rows, columns, channels])
            .uints(&[total, height, width, self.loads, rows, columns, *kernel, *stride])
            .uints(&[*dilation, above, left, self.step, self.run, self.runs])
            .bind(slots);
        let launch = if self.border == Border::Apart { launch.define("APART", 1) } else { launch };
        self.lanes.of_launch(launch, slots)
    }
}

/// Says how large windows are, and how many of their columns the next one shares: all but `ahead`.
fn define(launch: Launch, side: usize, ahead: usize) -> Launch {
    let launch = if side == 5 { launch.define("FIVE", 1) } else { launch };
    match ahead {
        1 => launch.define("BY_ONE", 1),
        2 => launch.define("BY_TWO", 1),
        _ => launch,
    }
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
        let (x, window) = (inputs[0], &self.0);
        if x.shape.rank() != 4 || x.shape.is_empty() || x.dtype != DType::F32 {
            return Err("needs a real image [B, H, W, C]".into());
        }
        if ![3, 5].contains(&window.kernel) || window.stride != 1 && window.dilation != 1 {
            return Err("needs a kernel of 3 or 5, and a stride or a dilation of 1".into());
        }
        let [batch, height, width, channels] = extents(x);
        let taps = window.kernel * window.kernel;
        if *inputs[1] != TensorType::f32([taps, channels]) || *inputs[2] != TensorType::f32([channels]) {
            return Err(format!("needs {taps} real taps and one real bias per channel"));
        }
        let [rows, columns] = window.grid([height, width])?;
        Ok(TensorType::f32([batch, rows, columns, channels]))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let ([x, taps, _], window) = (context.inputs, self.0) else { return Err(BackwardError::Undefined) };
        let mut gradients = vec![None; 3];
        if context.needed[0] {
            let [_, height, width, _]: [usize; 4] = x.extents()?;
            gradients[0] = Some(Tensor::record(InputGradient(window, [height, width]), &[context.grad, taps])?);
        }
        if context.needed[1] || context.needed[2] {
            let (sums, taps) = (Tensor::record(WeightGradient(window), &[x, context.grad])?, taps.shape()[0]);
            gradients[1] = Some(sums.slice(0, 0..taps)?);
            gradients[2] = Some(sums.slice(0, taps..taps + 1)?.reshape([sums.shape()[1]])?);
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (window, result) = (&self.0, extents(context.output));
        let slide = Slide::new(result, window.kernel, window.dilation, context.target);
        let slots = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output];
        let launch = slide.launch(extents(context.inputs[0]), window, result, &slots);
        define(launch, window.kernel, window.stride).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::depthwise_conv2d(&self.0, inputs[0], inputs[1], inputs[2])]
    }
}

impl Op for InputGradient {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_input"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let ([batch, .., channels], [height, width]) = (extents(inputs[0]), self.1);
        Ok(TensorType::f32([batch, height, width, channels]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (window, image) = (&self.0, extents(context.output));
        // With strides, at most three taps reach a pixel along either axis.
        let side = if window.stride == 1 { window.kernel } else { 3 };
        let slide = Slide::new(image, side, window.stride * window.dilation, context.target);
        let slots = [Slot::Input(0), Slot::Input(1), Slot::Output];
        let launch = slide.launch(extents(context.inputs[0]), window, image, &slots);
        define(launch.define("MIRRORED", 1), side, 1).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::input_gradient(&self.0, self.1, inputs[0], inputs[1])]
    }
}

impl WeightGradient {
    /// Turns of an invocation for each row of the result's gradient: each of its columns, and for every column that the
    /// kernel begins with, those that it reads before and behind the row. Unrolled, there are two loops, and neighbouring
    /// invocations of a software device make the turns of both.
    fn turns(&self, grad: &TensorType, registers: Registers) -> usize {
        let [.., columns, _] = extents(grad);
        let turns = columns + (self.0.kernel + 1) * self.0.dilation.min(columns) + 1;
        if registers == Registers::Many { 2 * turns } else { turns }
    }
}

impl Op for WeightGradient {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_weight"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if self.turns(inputs[1], Registers::Few) > MOST_TURNS {
            return Err("has no gradient of its weight for rows as long as these".into());
        }
        Ok(TensorType::f32([self.0.kernel * self.0.kernel + 1, extents(inputs[0])[3]]))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let [[_, height, width, _], [batch, rows, columns, channels]] =
            [0, 1].map(|input| extents(context.inputs[input]));
        let Window { kernel, stride, dilation, padding } = self.0;
        let (sums, [above, left]) = (kernel * kernel + 1, padding.before);
        let lanes = Lanes::at_most(context.target.channels_under(kernel), channels);
        let loads = channels / lanes.count;
        let rows_of_all = batch * rows;
        let registers = match self.turns(context.inputs[1], Registers::Many) {
            0..=MOST_TURNS => context.target.kernels.registers,
            _ => Registers::Few,
        };
        let turns = self.turns(context.inputs[1], registers);
        let (chunk, chunks) = split_rows(rows_of_all, 32usize.div_ceil(columns), loads, turns, context.target);
        let first = Launch::new(shader!("depthwise_conv2d_weight"), loads * chunks, 1)
            .operations(&[2 * sums - 1, context.inputs[1].shape.len()])
            .uints(&[rows_of_all, height, width, loads, rows, columns, stride, dilation])
            .uints(&[above, left, dilation, chunk, chunks])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Scratch(0)]);
        let first = lanes.of_launch(first, &[Slot::Input(0), Slot::Input(1)]);
        let first = define(first, kernel, stride);
        let first = if registers == Registers::Many { first.define("UNROLLED", 1) } else { first };
        let second = super::reduce::sum_of_chunks(chunks, sums * channels);
        Launches { list: vec![first, second], scratch: vec![chunks * sums * channels] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::depthwise_conv2d::weight_gradient(&self.0, inputs[0], inputs[1])]
    }
}

impl Tensor {
    /// Depth-wise convolution: \[B, H, W, C\] with weight \[C, 1, k, k\], k = 3 or 5, and bias \[C\] → \[B, OH, OW, C\],
    /// with the extents of [`Tensor::conv2d`] for a kernel of (k − 1)·dilation + 1. The stride or the dilation is 1.
    ///
    /// # Errors
    /// If the shapes do not fit, or there is no such kernel.
    #[track_caller]
    pub fn depthwise_conv2d(
        &self,
        weight: &Tensor,
        bias: &Tensor,
        stride: usize,
        dilation: usize,
        padding: impl Into<Padding>,
    ) -> Result<Tensor> {
        let &[channels, 1, kernel, across] = &weight.shape()[..] else {
            return Err(mismatch("depthwise_conv2d", &[self, weight, bias], "needs a weight [C, 1, k, k]"));
        };
        if kernel != across {
            return Err(mismatch("depthwise_conv2d", &[self, weight, bias], "needs a weight [C, 1, k, k]"));
        }
        // Neighbouring channels lie together in the image; so they must in the weight.
        let taps = weight.reshape([channels, kernel * kernel])?.permute(&[1, 0])?;
        let window = Window { kernel, stride, dilation, padding: padding.into() };
        Tensor::record(DepthwiseConv2d(window), &[self, &taps, bias])
    }
}
