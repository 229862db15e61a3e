//! Softmax and log-softmax.

use super::rows::{check_rows, launch_rows};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches, Shader, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// softmax(scale · x) over the last axis.
#[derive(Debug)]
struct Softmax {
    scale: f64,
}

/// Gradient of softmax; inputs y and grad.
#[derive(Debug)]
struct SoftmaxGradient {
    scale: f64,
}

/// The launch of either kernel.
fn by_rows(shader: Shader, context: &LaunchContext<'_>, scale: f64, slots: &[Slot]) -> Launches {
    let x = context.output;
    let channels = width(&x.shape);
    let rows = x.shape.len() / channels;
    launch_rows(shader, rows, channels, context.target, slots).floats(&[scale]).bind(slots).into()
}

fn width(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check_rows(inputs[0])?;
        if inputs[0].dtype != DType::F32 || inputs[0].shape.is_empty() {
            return Err("takes real values, at least one".into());
        }
        Ok(inputs[0].clone())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let gradient = SoftmaxGradient { scale: self.scale };
        Ok(vec![Some(Tensor::record(gradient, &[context.output, context.grad])?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        by_rows(shader!("softmax"), context, self.scale, &[Slot::Input(0), Slot::Output])
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::softmax::softmax(inputs[0], width(&inputs[0].shape), self.scale)]
    }
}

impl Op for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let slots = [Slot::Input(0), Slot::Input(1), Slot::Output];
        by_rows(shader!("softmax_gradient"), context, self.scale, &slots)
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::softmax::gradient(inputs[0], inputs[1], width(&inputs[0].shape), self.scale)]
    }
}

impl Tensor {
    /// softmax(x) over `axis`: eˣ / Σ eˣ along it. An axis other than the last is permuted there and back.
    ///
    /// # Errors
    /// If there is no such axis, or the tensor is not real or is empty.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Result<Tensor> {
        let axis = self.axis("softmax", axis)?;
        let shape = self.shape();
        if axis + 1 == shape.rank() {
            return self.softmax_scaled(1.0);
        }
        let grouped = [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()];
        let rows = self.reshape(grouped)?.permute(&[0, 2, 1])?.softmax_scaled(1.0)?;
        rows.permute(&[0, 2, 1])?.reshape(shape.clone())
    }

    /// softmax(scale · x) over the last axis, as used by attention.
    ///
    /// # Errors
    /// If the tensor is not real or is empty.
    #[track_caller]
    pub fn softmax_scaled(&self, scale: f64) -> Result<Tensor> {
        Tensor::record(Softmax { scale }, &[self])
    }

    /// ln softmax(x) over `axis`: x − m − ln Σ exp(x − m) with m = max x, which does not overflow.
    ///
    /// # Errors
    /// If there is no such axis.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Result<Tensor> {
        let largest = self.max_keep(axis)?.detach()?;
        let lowered = self.sub(&largest)?;
        lowered.sub(&lowered.exp()?.sum_keep(axis)?.log()?)
    }
}
