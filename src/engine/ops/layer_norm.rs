//! Layer norm over the last axis.

use super::matmul::mismatch;
use super::norm_sums::norm_sums;
use super::rows::{Lanes, check_rows, launch_rows};
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// (mean, 1 / √(variance + eps)) of every row, \[…, C\] → \[…, 2\]; biased variance.
///
/// It has no gradient: that of [`LayerNorm`] with respect to x includes both paths.
#[derive(Debug)]
struct Statistics {
    eps: f64,
}

impl Op for Statistics {
    fn name(&self) -> &'static str {
        "layer_norm_statistics"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        check_rows(inputs[0])?;
        let mut shape = inputs[0].shape.to_vec();
        match shape.last_mut() {
            Some(last) if inputs[0].dtype == DType::F32 && *last > 0 => *last = 2,
            _ => return Err("takes real values with at least one axis".into()),
        }
        Ok(TensorType::f32(shape))
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let rows = context.output.shape.len() / 2;
        let channels = context.inputs[0].shape.len() / rows;
        launch_rows(shader!("layer_norm_statistics"), rows, channels, context.target, &[Slot::Input(0)])
            .floats(&[self.eps])
            .bind(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::layer_norm::statistics(inputs[0], self.eps)]
    }
}

/// (x − mean) · rstd · gamma + beta with given statistics; inputs x, statistics, gamma, beta.
#[derive(Debug)]
struct LayerNorm;

impl Op for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [x, statistics, gamma, _] = context.inputs else { return Err(BackwardError::Undefined) };
        let mut gradients = vec![None; 4];
        if context.needed[0] {
            gradients[0] = Some(Tensor::record(LayerNormGradient, &[x, statistics, gamma, context.grad])?);
        }
        if context.needed[2] || context.needed[3] {
            let [to_gamma, to_beta] = norm_sums(x, statistics, context.grad, true)?;
            gradients[2] = Some(to_gamma);
            gradients[3] = Some(to_beta);
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let rows = context.inputs[1].shape.len() / 2;
        let channels = context.inputs[2].shape.len();
        let lanes = Lanes::of(channels);
        let parts = context.target.walkers(channels / lanes.count);
        let launch = Launch::new(shader!("layer_norm"), rows * parts, 1)
            .uints(&[rows, channels / lanes.count, parts])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2), Slot::Input(3), Slot::Output]);
        lanes.of_launch(launch, &[Slot::Input(0), Slot::Input(2), Slot::Input(3), Slot::Output]).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::layer_norm::layer_norm(inputs[0], inputs[1], inputs[2], inputs[3])]
    }
}

/// Gradient of layer norm with respect to x; inputs x, statistics, gamma, grad.
#[derive(Debug)]
struct LayerNormGradient;

impl Op for LayerNormGradient {
    fn name(&self) -> &'static str {
        "layer_norm_gradient"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let rows = context.inputs[1].shape.len() / 2;
        let channels = context.output.shape.len() / rows;
        let [x, statistics, gamma, grad] = [0, 1, 2, 3].map(Slot::Input);
        launch_rows(shader!("layer_norm_gradient"), rows, channels, context.target, &[x, gamma, grad, Slot::Output])
            .bind(&[x, statistics, gamma, grad, Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::layer_norm::gradient(inputs[0], inputs[1], inputs[2], inputs[3])]
    }
}

impl Tensor {
    /// (x − mean) / √(variance + eps) · gamma + beta over the last axis, with the biased variance; gamma, beta \[C\].
    ///
    /// # Errors
    /// If gamma or beta do not have the last axis' extent, or any of them is not real.
    #[track_caller]
    pub fn layer_norm(&self, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
        let width = self.shape().last().copied().unwrap_or(0);
        let real = TensorType::f32([width]);
        if width == 0 || *gamma.ty() != real || *beta.ty() != real {
            return Err(mismatch("layer_norm", &[self, gamma, beta], "needs real x [.., C], gamma [C] and beta [C]"));
        }
        let statistics = Tensor::record(Statistics { eps }, &[self])?;
        Tensor::record(LayerNorm, &[self, &statistics, gamma, beta])
    }
}
