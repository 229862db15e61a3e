//! Slots back to one map per class, zeros where an image has no such slot (method.md 4.3).

use super::gather_slots::check_first;
use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, MOST_TURNS, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Slots \[B, H, W, P\] and classes \[B, P\] to maps \[B, C, H, W\].
#[derive(Debug)]
struct ScatterSlots {
    channels: usize,
    /// The class of channel 0.
    first: usize,
}

impl Op for ScatterSlots {
    fn name(&self) -> &'static str {
        "scatter_slots"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (slots, classes) = (inputs[0], inputs[1]);
        let fits = slots.shape.rank() == 4 && classes.shape[..] == [slots.shape[0], slots.shape[3]];
        if !fits || slots.dtype != DType::F32 || classes.dtype != DType::I32 {
            return Err("needs real slots [B, H, W, P] and integer classes [B, P]".into());
        }
        if slots.shape[3] > MOST_TURNS {
            return Err(format!("takes at most {MOST_TURNS} slots"));
        }
        check_first(self.first)?;
        Ok(TensorType::f32([slots.shape[0], self.channels, slots.shape[1], slots.shape[2]]))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Ok(vec![Some(context.grad.gather_slots(&context.inputs[1], self.first)?), None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let slots = &context.inputs[0].shape;
        Launch::new(shader!("scatter_slots"), context.output.shape.len(), 1)
            .uints(&[slots[0], self.channels, slots[1] * slots[2], slots[3], self.first])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::scatter_slots::scatter_slots(inputs[0], inputs[1], self.channels, self.first)]
    }
}

impl Tensor {
    /// Scatters slots \[B, H, W, P\] of `classes` \[B, P\] to maps \[B, `channels`, H, W\], the transpose of
    /// [`Tensor::gather_slots`].
    ///
    /// Channel c holds the slot of class c + `first` (the sum, if there are several), or 0 if the image has none.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn scatter_slots(&self, classes: &Tensor, channels: usize, first: usize) -> Result<Tensor> {
        Tensor::record(ScatterSlots { channels, first }, &[self, classes])
    }
}
