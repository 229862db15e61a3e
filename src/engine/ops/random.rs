//! Random numbers: a function of (seed, step, stream, element), independent of when or where it runs.

use crate::engine::graph::{Backward, BackwardError, Op, Shape, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Uniform numbers in [0, 1); the input is the key.
#[derive(Debug)]
struct Random {
    stream: u32,
    shape: Shape,
}

impl Op for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if *inputs[0] != TensorType::i32([3]) {
            return Err("the key must be three integers: low and high word of the seed, step".into());
        }
        Ok(TensorType::f32(self.shape.clone()))
    }

    fn backward(&self, _: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let quads = context.output.shape.len().div_ceil(4);
        Launch::new(shader!("random"), quads, 1)
            .uints(&[quads, self.stream as usize])
            .bind(&[Slot::Input(0), Slot::Output])
            .fours(&[Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::random::random(inputs[0], self.stream, &self.shape)]
    }
}

/// Uniform numbers in [0, 1) with 24 bits. `key` is i32 \[3\]: low word of the seed, high word of the seed, step.
///
/// Every call uses a new stream of the graph, numbered in order of recording: equal graphs draw equal numbers.
///
/// # Errors
/// If the key is not of that type.
#[track_caller]
pub fn random_uniform(key: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::record(Random { stream: key.graph().next_random_stream(), shape: shape.into() }, &[key])
}
