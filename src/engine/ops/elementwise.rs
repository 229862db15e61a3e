//! Functions of single elements, with broadcasting; chains of them are fused into one kernel.

use super::elementwise_kernel::launch;
use crate::engine::geometry::broadcast::{Broadcast, MAX_AXES};
use crate::engine::graph::{
    Backward, BackwardError, Chain, DType, Function, Instruction, Op, Operand, Shape, Tensor, TensorType,
};
use crate::engine::kernel::{LaunchContext, Launches};
use crate::engine::reference::Array;
use crate::error::Result;

/// Refuses operands that a kernel cannot traverse together.
fn check_axes(shape: &Shape, inputs: &[&Shape]) -> Result<(), String> {
    match Broadcast::of(shape, inputs.iter().copied()).fits() {
        true => Ok(()),
        false => Err(format!("broadcasts along more than {MAX_AXES} groups of axes")),
    }
}

impl Op for Chain {
    fn name(&self) -> &'static str {
        match &self.body[..] {
            [only] => only.function.name(),
            _ => "elementwise",
        }
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let mut shape = Shape::default();
        for input in inputs {
            shape = shape.broadcast(&input.shape).ok_or("the shapes do not broadcast")?;
        }
        check_axes(&shape, &inputs.iter().map(|input| &input.shape).collect::<Vec<_>>())?;
        let integer = self.body.last().is_some_and(|last| last.function == Function::ToInteger);
        Ok(TensorType { shape, dtype: if integer { DType::I32 } else { DType::F32 } })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        use Function::*;
        let [Instruction { function, .. }] = &self.body[..] else { return Err(BackwardError::Undefined) };
        let (inputs, y, grad) = (context.inputs, context.output, context.grad);
        let x = &inputs[0];
        let parts = match *function {
            Copy => vec![grad.clone()],
            Negate => vec![grad.neg()?],
            Scale(c) => vec![grad.scale(c)?],
            Offset(_) => vec![grad.clone()],
            Quotient(c) => vec![grad.quotient(c)?],
            Exp => vec![grad.mul(y)?],
            Log => vec![grad.div(x)?],
            Sqrt => vec![grad.div(&y.scale(2.0)?)?],
            Abs => {
                let zero = x.graph().scalar(0.0);
                vec![grad.mul(&x.greater(&zero)?.sub(&zero.greater(x)?)?)?]
            }
            Relu => vec![grad.mul(&x.greater(&x.graph().scalar(0.0))?)?],
            // By the result, so that x need not be kept.
            Relu6 => {
                let end = |value: f64| y.graph().scalar(value);
                vec![grad.mul(&y.greater(&end(0.0))?.mul(&end(6.0).greater(y)?)?)?]
            }
            Sigmoid => vec![grad.mul(y)?.mul(&y.neg()?.offset(1.0)?)?],
            LogSigmoid => vec![grad.mul(&x.neg()?.sigmoid()?)?],
            Gelu => vec![grad.mul(&Tensor::record(Chain::single(GeluSlope), &[x])?)?],
            Add => vec![grad.clone(), grad.clone()],
            Subtract => vec![grad.clone(), grad.neg()?],
            Multiply => vec![grad.mul(&inputs[1])?, grad.mul(x)?],
            Divide => vec![grad.div(&inputs[1])?, grad.mul(y)?.div(&inputs[1])?.neg()?],
            Maximum | Minimum => {
                let first = if *function == Maximum { x.at_least(&inputs[1])? } else { inputs[1].at_least(x)? };
                vec![grad.mul(&first)?, grad.mul(&first.neg()?.offset(1.0)?)?]
            }
            Select => {
                let zero = x.graph().scalar(0.0);
                let (yes, no) = (x.select(grad, &zero)?, x.select(&zero, grad)?);
                return Ok(vec![None, Some(yes.sum_to(inputs[1].shape())?), Some(no.sum_to(inputs[2].shape())?)]);
            }
            Equal | Greater | AtLeast => return Ok(vec![None, None]),
            ToInteger | Truncate | Finite => return Ok(vec![None]),
            GeluSlope => return Err(BackwardError::Undefined),
        };
        parts
            .into_iter()
            .zip(inputs)
            .zip(context.needed)
            .map(|((part, input), &needed)| match needed {
                true => Ok(Some(part.sum_to(input.shape())?)),
                false => Ok(None),
            })
            .collect()
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(self, context).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let types: Vec<_> = inputs.iter().map(|input| TensorType::f32(&input.shape[..])).collect();
        let shape =
            types.iter().try_fold(Shape::default(), |shape, input| shape.broadcast(&input.shape)).unwrap_or_default();
        let strides: Vec<_> = types.iter().map(|input| input.shape.broadcast_strides(&shape)).collect();
        let mut coordinate = vec![0usize; shape.rank()];
        let mut values = vec![0.0; self.body.len()];
        let mut args = Vec::with_capacity(3);
        vec![Array::from_fn(&shape, |_| {
            for (index, instruction) in self.body.iter().enumerate() {
                args.clear();
                args.extend(instruction.operands.iter().map(|operand| match *operand {
                    Operand::Value(value) => values[value],
                    Operand::Leaf(leaf) => {
                        let at: usize = coordinate.iter().zip(&strides[leaf]).map(|(c, stride)| c * stride).sum();
                        inputs[leaf].data[at]
                    }
                }));
                values[index] = instruction.function.evaluate(&args);
            }
            for axis in (0..coordinate.len()).rev() {
                coordinate[axis] += 1;
                if coordinate[axis] < shape[axis] {
                    break;
                }
                coordinate[axis] = 0;
            }
            values[self.body.len() - 1]
        })]
    }

    fn elementwise(&self) -> Option<&Chain> {
        Some(self)
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident ( $($arg:ident),* ) = $function:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the shapes do not broadcast.
            #[track_caller]
            pub fn $name(&self $(, $arg: &Tensor)*) -> Result<Tensor> {
                Tensor::record(Chain::single($function), &[self $(, $arg)*])
            }
        )*}
    };
}

methods! {
    /// −x
    neg() = Function::Negate;
    /// eˣ
    exp() = Function::Exp;
    /// ln x
    log() = Function::Log;
    /// √x
    sqrt() = Function::Sqrt;
    /// |x|
    abs() = Function::Abs;
    /// x truncated toward zero; no gradient passes.
    trunc() = Function::Truncate;
    /// The values truncated toward zero, as integers of 32 bits; NaN gives 0. No gradient passes.
    to_integer() = Function::ToInteger;
    /// The values as real numbers.
    to_real() = Function::Copy;
    /// max(x, 0)
    relu() = Function::Relu;
    /// min(max(x, 0), 6)
    relu6() = Function::Relu6;
    /// 1 / (1 + e⁻ˣ)
    sigmoid() = Function::Sigmoid;
    /// ln σ(x)
    log_sigmoid() = Function::LogSigmoid;
    /// x·Φ(x), the exact (erf) form.
    gelu() = Function::Gelu;
    /// 1 where x is finite, 0 where it is infinite or NaN, determined from its bits; no gradient passes.
    finite() = Function::Finite;
    /// x + other
    add(other) = Function::Add;
    /// x − other
    sub(other) = Function::Subtract;
    /// x · other
    mul(other) = Function::Multiply;
    /// x / other
    div(other) = Function::Divide;
    /// The larger of the two; ties give the gradient to the first.
    maximum(other) = Function::Maximum;
    /// The smaller of the two; ties give the gradient to the first.
    minimum(other) = Function::Minimum;
    /// 1 where both are equal, else 0; no gradient passes.
    equal(other) = Function::Equal;
    /// 1 where x > other, else 0; no gradient passes.
    greater(other) = Function::Greater;
    /// 1 where x ≥ other, else 0; no gradient passes.
    at_least(other) = Function::AtLeast;
    /// `yes` where x ≠ 0, else `no`; the gradient goes to the chosen one.
    select(yes, no) = Function::Select;
}

impl Tensor {
    /// c·x
    ///
    /// # Errors
    /// Never for a valid tensor.
    #[track_caller]
    pub fn scale(&self, c: f64) -> Result<Tensor> {
        Tensor::record(Chain::single(Function::Scale(c)), &[self])
    }

    /// x + c
    ///
    /// # Errors
    /// Never for a valid tensor.
    #[track_caller]
    pub fn offset(&self, c: f64) -> Result<Tensor> {
        Tensor::record(Chain::single(Function::Offset(c)), &[self])
    }

    /// x / c, rounded once: exact where the quotient is an integer below 2²¹, on every device.
    #[track_caller]
    pub(crate) fn quotient(&self, c: f64) -> Result<Tensor> {
        let (inverse, single) = ((1.0 / c) as f32, c as f32);
        // The factor is exact, and a product is faster than a quotient.
        let is_power = single.is_normal() && inverse.is_normal() && single.to_bits() << 9 == 0;
        let function = if is_power { Function::Scale(1.0 / f64::from(single)) } else { Function::Quotient(c) };
        Tensor::record(Chain::single(function), &[self])
    }

    /// The tensor repeated to `shape`.
    ///
    /// # Errors
    /// If it does not broadcast to that shape, is not real, or would be repeated along more than eight groups of axes.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        if *self.shape() == shape {
            return Ok(self.clone());
        }
        Tensor::record(Expand(shape, Chain::single(Function::Copy)), &[self])
    }
}

/// A copy repeated to a larger shape.
#[derive(Debug)]
struct Expand(Shape, Chain);

impl Op for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        match self.0.broadcast(&inputs[0].shape) {
            Some(shape) if shape == self.0 && inputs[0].dtype == DType::F32 => {
                // A larger result is refused by its size.
                if !shape.is_boundless() {
                    check_axes(&shape, &[&inputs[0].shape])?;
                }
                Ok(TensorType::f32(shape))
            }
            _ => Err(format!("does not broadcast to {:?}", self.0)),
        }
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(context.grad.sum_to(context.inputs[0].shape())?)])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        launch(&self.1, context).into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let zeros = Array::zeros(&self.0);
        Chain::single(Function::Add).reference(&[inputs[0], &zeros])
    }

    fn elementwise(&self) -> Option<&Chain> {
        Some(&self.1)
    }
}
