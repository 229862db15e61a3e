//! Other views of the same storage: reshape and detach. Nothing runs.

use crate::engine::graph::{Backward, BackwardError, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{LaunchContext, Launches};
use crate::engine::reference::Array;
use crate::error::Result;

/// The same elements under another shape.
#[derive(Debug)]
struct Reshape(Shape);

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs[0].shape.len() != self.0.len() {
            return Err(format!("{:?} has a different number of elements", self.0));
        }
        Ok(TensorType { shape: self.0.clone(), dtype: inputs[0].dtype })
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(context.grad.reshape(context.inputs[0].shape().clone())?)])
    }

    fn launches(&self, _: &LaunchContext<'_>) -> Launches {
        Launches::default()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].reshaped(&self.0)]
    }

    fn is_alias(&self) -> bool {
        true
    }
}

/// The same value without a gradient: stop_gradient.
#[derive(Debug)]
struct Detach;

impl Op for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn backward(&self, _: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![None])
    }

    fn launches(&self, _: &LaunchContext<'_>) -> Launches {
        Launches::default()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].clone()]
    }

    fn is_alias(&self) -> bool {
        true
    }
}

impl Tensor {
    /// The same elements under another shape of equal size.
    ///
    /// # Errors
    /// If the sizes differ.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        Tensor::record(Reshape(shape.into()), &[self])
    }

    /// The same value, through which no gradient flows.
    ///
    /// # Errors
    /// Never for a valid tensor.
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        Tensor::record(Detach, &[self])
    }
}
