//! Losses of single pixels against a label map (spec 6.2, 6.4): one value per pixel, averaged outside.

use crate::error::Result;
use crate::graph::{Backward, BackwardError, DType, Launch, LaunchContext, Launches, Op, Slot, Tensor, TensorType};
use crate::reference::{self, Array};
use crate::{graph::Shader, shader};

/// Which loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Σ over channels of the two-class loss of each: −logσ(x) for the label's channel, −logσ(−x) for the others.
    Margin,
    /// log Σ eˣ − x of the label's channel.
    CrossEntropy,
}

/// Logits \[B, C, H, W\] and label \[B, H, W\] to one loss per pixel; 0 where the pixel does not count.
#[derive(Clone, Copy, Debug)]
pub struct PixelLoss {
    /// Which loss.
    pub form: Form,
    /// The label of channel 0.
    pub first: usize,
}

impl PixelLoss {
    fn check(inputs: &[&TensorType]) -> Result<(), String> {
        let (x, label) = (inputs[0], inputs[1]);
        let fits = x.shape.rank() == 4 && label.shape[..] == [x.shape[0], x.shape[2], x.shape[3]];
        if !fits || x.dtype != DType::F32 || label.dtype != DType::I32 {
            return Err("needs real logits [B, C, H, W] and integer labels [B, H, W]".into());
        }
        Ok(())
    }

    fn launch(&self, shader: Shader, x: &TensorType, slots: &[Slot]) -> Launch {
        let plane = x.shape[2] * x.shape[3];
        let vector = plane.is_multiple_of(4);
        let plane = if vector { plane / 4 } else { plane };
        let form = match self.form {
            Form::Margin => "MARGIN",
            Form::CrossEntropy => "CROSS_ENTROPY",
        };
        Launch::new(shader, x.shape[0] * plane, 1)
            .define("VALUE", if vector { "vec4<f32>" } else { "f32" })
            .define("LABEL", if vector { "vec4<i32>" } else { "i32" })
            .define(form, 1)
            .uints(&[x.shape[0], x.shape[1], plane, self.first])
            .bind(slots)
    }
}

impl Op for PixelLoss {
    fn name(&self) -> &'static str {
        "pixel_loss"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Self::check(inputs)?;
        Ok(TensorType::f32(inputs[1].shape.clone()))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let (x, label) = (&context.inputs[0], &context.inputs[1]);
        Ok(vec![Some(Tensor::record(Gradient(*self), &[x, label, context.grad])?), None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let slots = [Slot::Input(0), Slot::Input(1), Slot::Output];
        self.launch(shader!("pixel_loss"), context.inputs[0], &slots).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::pixel_loss::pixel_loss(self, inputs[0], inputs[1])]
    }
}

/// Gradient of [`PixelLoss`] with respect to the logits: inputs are logits, label and the loss map's gradient.
#[derive(Debug)]
struct Gradient(PixelLoss);

impl Op for Gradient {
    fn name(&self) -> &'static str {
        "pixel_loss_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        PixelLoss::check(inputs)?;
        if inputs[2].shape != inputs[1].shape || inputs[2].dtype != DType::F32 {
            return Err("needs one real gradient per label".into());
        }
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let slots = [Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Output];
        self.0.launch(shader!("pixel_loss_gradient"), context.inputs[0], &slots).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::pixel_loss::gradient(&self.0, inputs[0], inputs[1], inputs[2])]
    }
}

impl Tensor {
    /// One-against-all loss of every pixel of logits \[B, C, H, W\], summed over channels: \[B, H, W\].
    ///
    /// The class of a pixel is `label` − `first`. Where the label is 255 or its class is no channel, the loss and its
    /// gradient are exactly 0. Divide by C for the mean over channels of spec 0.3.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn margin_map(&self, label: &Tensor, first: usize) -> Result<Tensor> {
        Tensor::record(PixelLoss { form: Form::Margin, first }, &[self, label])
    }

    /// Softmax cross-entropy of every pixel of logits \[B, C, H, W\]: \[B, H, W\].
    ///
    /// The class of a pixel is `label` − `first`. Where the label is 255 or its class is no channel, the loss and its
    /// gradient are exactly 0.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn cross_entropy_map(&self, label: &Tensor, first: usize) -> Result<Tensor> {
        Tensor::record(PixelLoss { form: Form::CrossEntropy, first }, &[self, label])
    }
}
