//! Losses of single pixels against a label map (method.md 6.2, 6.4): one value per pixel, averaged outside.
//!
//! The logits may be given on a coarser grid than the label: they are interpolated as needed, and maps of
//! them at the label's size are never stored.

use super::gather_slots::check_first;
use super::resize::{Axis, Resize, transposed};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Shader, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
pub use crate::engine::reference::pixel_loss::{Form, PixelLoss};
use crate::engine::types::product;
use crate::error::Result;

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Margin => "MARGIN",
            Form::CrossEntropy => "CROSS_ENTROPY",
        }
    }
}

/// The bilinear resize of logits \[B, C, h, w\] to pixels \[B, H, W\].
fn resize(x: &[usize], pixels: &[usize]) -> Resize {
    Resize {
        outer: x[0] * x[1],
        rows: Axis::by_size(x[2], pixels[1], false),
        columns: Axis::by_size(x[3], pixels[2], false),
        inner: 1,
    }
}

fn check(x: &TensorType, pixels: &TensorType) -> Result<(), String> {
    let fits = x.shape.rank() == 4 && pixels.shape.rank() == 3 && x.shape[0] == pixels.shape[0];
    if !fits || x.dtype != DType::F32 || x.shape.is_empty() || pixels.shape.is_empty() {
        return Err("needs real logits [B, C, h, w] and labels [B, H, W]".into());
    }
    if x.shape[1] > MOST_TURNS {
        return Err(format!("takes at most {MOST_TURNS} classes"));
    }
    let Resize { rows, columns, .. } = resize(&x.shape, &pixels.shape);
    if rows.fits() && columns.fits() { Ok(()) } else { Err("the sides are too long".into()) }
}

/// A launch on logits `x` and pixels of extents `pixels`, with their axes as its first parameters.
fn launch(shader: Shader, invocations: usize, x: &TensorType, pixels: &TensorType, first: usize) -> Launch {
    let Resize { rows, columns, .. } = resize(&x.shape, &pixels.shape);
    let mut launch = Launch::new(shader, invocations, 1);
    launch.params.extend(rows.params());
    launch.params.extend(columns.params());
    launch.uints(&[x.shape[0], x.shape[1], first])
}

/// A launch of `pixel_loss`: one pixel or four neighbours per invocation.
fn forward(x: &TensorType, pixels: &TensorType, first: usize) -> Launch {
    let columns = resize(&x.shape, &pixels.shape).columns;
    let fours = columns.is_near() && columns.output.is_multiple_of(4);
    let launch = launch(shader!("pixel_loss"), pixels.shape.len() / if fours { 4 } else { 1 }, x, pixels, first);
    if fours { launch.define("FOURS", 1).fours(&[Slot::Output]) } else { launch }
}

impl Op for PixelLoss {
    fn name(&self) -> &'static str {
        "pixel_loss"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs[0], inputs[1])?;
        if inputs[1].dtype != DType::I32 {
            return Err("takes integer labels".into());
        }
        check_first(self.first)?;
        Ok(TensorType::f32(inputs[1].shape.clone()))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let (x, label, grad) = (&context.inputs[0], &context.inputs[1], context.grad);
        let mut inputs = vec![x, label, grad];
        let log_sum;
        if self.form == Form::CrossEntropy {
            log_sum = Tensor::record(LogSum, &[x, label])?;
            inputs.push(&log_sum);
        }
        Ok(vec![Some(Tensor::record(Gradient(*self), &inputs)?), None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        forward(context.inputs[0], context.inputs[1], self.first)
            .define(self.form.name(), 1)
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let logits = reference::pixel_loss::at_pixels(&resize(&inputs[0].shape, &inputs[1].shape), inputs[0]);
        vec![reference::pixel_loss::pixel_loss(self, &logits, inputs[1])]
    }
}

/// log Σ eˣ over the channels of every pixel, \[B, H, W\]; inputs are logits and, for its extents, the label.
#[derive(Debug)]
struct LogSum;

impl Op for LogSum {
    fn name(&self) -> &'static str {
        "pixel_log_sum"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs[0], inputs[1])?;
        Ok(TensorType::f32(inputs[1].shape.clone()))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        forward(context.inputs[0], context.inputs[1], 0)
            .define("LOG_SUM", 1)
            .bind(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let logits = reference::pixel_loss::at_pixels(&resize(&inputs[0].shape, &inputs[1].shape), inputs[0]);
        vec![reference::pixel_loss::log_sum(&logits)]
    }
}

/// Gradient of [`PixelLoss`] with respect to the logits: inputs are logits, label, the loss map's gradient, and for
/// cross-entropy [`LogSum`].
#[derive(Debug)]
struct Gradient(PixelLoss);

impl Op for Gradient {
    fn name(&self) -> &'static str {
        "pixel_loss_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check(inputs[0], inputs[1])?;
        if inputs[2..].iter().any(|map| map.shape != inputs[1].shape || map.dtype != DType::F32) {
            return Err("needs one real gradient per label".into());
        }
        Ok(inputs[0].clone())
    }

    /// Along the columns with the loss, then along the rows.
    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (x, label) = (context.inputs[0], context.inputs[1]);
        let Resize { outer, rows, columns, .. } = resize(&x.shape, &label.shape);
        let half_way = product(&[outer, rows.output, columns.input]);
        let to = if rows.is_identity() { Slot::Output } else { Slot::Scratch(0) };
        let slots = [(0..context.inputs.len()).map(Slot::Input).collect(), vec![to]].concat();
        let mut first = launch(shader!("pixel_loss_gradient"), half_way, x, label, self.0.first)
            .define(self.0.form.name(), 1)
            .bind(&slots);
        if columns.output.is_multiple_of(4) {
            first = first.define("FOURS", 1).fours(&[Slot::Input(2), Slot::Input(3)]);
        }
        if rows.is_identity() {
            return first.into();
        }
        let second = transposed(&rows, outer, columns.input, Slot::Scratch(0), Slot::Output);
        Launches { list: vec![first, second], scratch: vec![half_way] }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let resize = resize(&inputs[0].shape, &inputs[1].shape);
        let logits = reference::pixel_loss::at_pixels(&resize, inputs[0]);
        let slopes = reference::pixel_loss::gradient(&self.0, &logits, inputs[1], inputs[2]);
        vec![reference::resize::gradient(&resize, &inputs[0].shape, &slopes)]
    }
}

impl Tensor {
    /// One-against-all loss of every pixel of logits \[B, C, h, w\], summed over channels, against `label` \[B, H, W\]:
    /// \[B, H, W\]. Logits on a coarser grid are interpolated to the label's pixels (bilinear, no aligned corners).
    ///
    /// The class of a pixel is `label` − `first`. Where the label is 255 or its class is not a channel, the loss and
    /// its gradient are exactly 0. Divide by C for the mean over channels of method.md 0.3.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn margin_map(&self, label: &Tensor, first: usize) -> Result<Tensor> {
        Tensor::record(PixelLoss { form: Form::Margin, first }, &[self, label])
    }

    /// Softmax cross-entropy of every pixel of logits \[B, C, h, w\] against `label` \[B, H, W\]: \[B, H, W\]. Logits
    /// on a coarser grid are interpolated to the label's pixels (bilinear, no aligned corners).
    ///
    /// The class of a pixel is `label` − `first`. Where the label is 255 or its class is not a channel, the loss and
    /// its gradient are exactly 0.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn cross_entropy_map(&self, label: &Tensor, first: usize) -> Result<Tensor> {
        Tensor::record(PixelLoss { form: Form::CrossEntropy, first }, &[self, label])
    }
}
