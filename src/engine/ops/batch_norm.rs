//! Batch norm on channels-last tensors: the statistics, and the normalisation by given ones.
//!
//! The two are separate because training takes them from the batch and evaluation from running values.

use super::matmul::mismatch;
use super::norm_sums::norm_sums;
use super::rows::ColumnSums;
use crate::engine::graph::{
    Backward, BackwardError, Chain, DType, Function, Instruction, Op, Operand, Storage, Tensor, TensorType,
};
use crate::engine::kernel::{LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Mean and biased variance of every column, \[…, C\] → \[2, C\].
#[derive(Debug)]
struct BatchStatistics;

impl Op for BatchStatistics {
    fn name(&self) -> &'static str {
        "batch_statistics"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match inputs[0].shape.last() {
            Some(&width) if inputs[0].dtype == DType::F32 && !inputs[0].shape.is_empty() => {
                Ok(TensorType::f32([2, width]))
            }
            _ => Err("takes real values with at least one axis".into()),
        }
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let x = &context.inputs[0];
        let width = context.output.shape()[1];
        let count = (x.shape().len() / width) as f64;
        let part = |tensor: &Tensor, row: usize| tensor.slice(0, row..row + 1)?.reshape([width]);
        let to_mean = part(context.grad, 0)?.scale(1.0 / count)?;
        let to_variance = part(context.grad, 1)?.scale(2.0 / count)?;
        let centered = x.sub(&part(context.output, 0)?)?;
        Ok(vec![Some(centered.mul(&to_variance)?.add(&to_mean)?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let channels = context.output.shape[1];
        let sums = ColumnSums::of(context.inputs[0].shape.len(), channels, context.target);
        let ColumnSums { columns, chunks, .. } = sums;
        let kernel = |shader, invocations: usize, slots: &[Slot]| {
            sums.lanes.of_launch(sums.launch(shader, invocations).bind(slots), slots)
        };
        Launches {
            list: vec![
                kernel(shader!("batch_statistics"), columns * chunks, &[Slot::Input(0), Slot::Scratch(0)]),
                kernel(shader!("batch_statistics_merge"), columns, &[Slot::Scratch(0), Slot::Output]),
            ],
            scratch: vec![chunks * 2 * channels],
        }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let width = inputs[0].shape.last().copied().unwrap_or(1);
        vec![reference::batch_norm::batch_statistics(inputs[0], width)]
    }
}

/// (x − mean) / √(variance + eps) · gamma + beta; inputs x \[…, C\] and the others \[C\].
///
/// To the planner it is a chain of element-wise functions, which fuses with its neighbours; it is an op of its own
/// because its gradients share two sums over x.
#[derive(Debug)]
struct BatchNorm {
    eps: f64,
    chain: Chain,
}

impl BatchNorm {
    fn new(eps: f64) -> Self {
        use Operand::{Leaf, Value};
        let step = |function, operands: &[Operand]| Instruction { function, operands: operands.to_vec() };
        let body = vec![
            step(Function::Subtract, &[Leaf(0), Leaf(1)]),
            step(Function::Offset(eps), &[Leaf(2)]),
            step(Function::Sqrt, &[Value(1)]),
            step(Function::Divide, &[Value(0), Value(2)]),
            step(Function::Multiply, &[Value(3), Leaf(3)]),
            step(Function::Add, &[Value(4), Leaf(4)]),
        ];
        BatchNorm { eps, chain: Chain { body } }
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        self.chain.output(inputs)
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let [x, mean, variance, gamma, _] = context.inputs else { return Err(BackwardError::Undefined) };
        let mut gradients = vec![None; 5];
        let deviation = variance.offset(self.eps)?.sqrt()?;
        let slope = gamma.div(&deviation)?;
        if context.needed[0] {
            gradients[0] = Some(context.grad.mul(&slope)?);
        }
        if context.needed[1..].contains(&true) {
            let [products, sum] = norm_sums(x, mean, context.grad, false)?;
            gradients[1] = Some(sum.mul(&slope)?.neg()?);
            let cube = variance.offset(self.eps)?.mul(&deviation)?;
            gradients[2] = Some(products.mul(gamma)?.div(&cube)?.scale(-0.5)?);
            gradients[3] = Some(products.div(&deviation)?);
            gradients[4] = Some(sum);
        }
        Ok(gradients)
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        self.chain.launches(context)
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        self.chain.reference(inputs)
    }

    fn elementwise(&self) -> Option<&Chain> {
        Some(&self.chain)
    }
}

impl Tensor {
    /// Mean and biased variance over all axes but the last: \[…, C\] → \[2, C\].
    ///
    /// # Errors
    /// If the tensor is not real or has no axis.
    #[track_caller]
    pub fn batch_statistics(&self) -> Result<Tensor> {
        Tensor::record(BatchStatistics, &[self])
    }

    /// (x − mean) / √(variance + eps) · gamma + beta per channel, with (mean, variance) = statistics \[2, C\], given
    /// by [`Tensor::batch_statistics`] or kept from earlier batches.
    ///
    /// # Errors
    /// If the extents are not those of the last axis.
    #[track_caller]
    pub fn batch_norm(&self, statistics: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
        let width = self.shape().last().copied().unwrap_or(0);
        if statistics.shape()[..] != [2, width] || gamma.shape()[..] != [width] || beta.shape()[..] != [width] {
            let operands = [self, statistics, gamma, beta];
            return Err(mismatch(
                "batch_norm",
                &operands,
                "needs x [.., C], statistics [2, C], gamma [C] and beta [C]",
            ));
        }
        let row = |row: usize| statistics.slice(0, row..row + 1)?.reshape([width]);
        // Whatever is rounded, statistics are not.
        let [mean, variance] = self.graph().stored(Storage::Whole, || [row(0), row(1)]);
        Tensor::record(BatchNorm::new(eps), &[self, &mean?, &variance?, gamma, beta])
    }
}
