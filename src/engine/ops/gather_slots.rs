//! The classes of each image as slots: few maps per image, on the last axis (method.md 4.3).

use crate::engine::graph::{Backward, BackwardError, DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Maps \[B, C, H, W\] and classes \[B, P\] to slots \[B, H, W, P\].
#[derive(Debug)]
struct GatherSlots {
    /// The class of channel 0.
    first: usize,
}

impl Op for GatherSlots {
    fn name(&self) -> &'static str {
        "gather_slots"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (maps, classes) = (inputs[0], inputs[1]);
        let fits = maps.shape.rank() == 4 && classes.shape.rank() == 2 && maps.shape[0] == classes.shape[0];
        if !fits || maps.dtype != DType::F32 || classes.dtype != DType::I32 {
            return Err("needs real maps [B, C, H, W] and integer classes [B, P]".into());
        }
        check_first(self.first)?;
        Ok(TensorType::f32([maps.shape[0], maps.shape[2], maps.shape[3], classes.shape[1]]))
    }

    fn backward(&self, context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        let (maps, classes) = (&context.inputs[0], &context.inputs[1]);
        Ok(vec![Some(context.grad.scatter_slots(classes, maps.shape()[1], self.first)?), None])
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let maps = &context.inputs[0].shape;
        let (mut plane, mut slots) = (maps[2] * maps[3], context.inputs[1].shape[1]);
        let block = plane.is_multiple_of(4) && slots.is_multiple_of(4);
        if block {
            (plane, slots) = (plane / 4, slots / 4);
        }
        let launch = Launch::new(shader!("gather_slots"), maps[0] * plane * slots, 1)
            .uints(&[maps[0], maps[1], plane, slots, self.first])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]);
        if block { launch.define("BLOCK", 1).fours(&[Slot::Input(0), Slot::Output]).into() } else { launch.into() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::gather_slots::gather_slots(inputs[0], inputs[1], self.first)]
    }
}

/// Refuses a first class that no integer tensor holds.
pub(super) fn check_first(first: usize) -> Result<(), String> {
    let fits = i32::try_from(first).is_ok();
    if fits { Ok(()) } else { Err(format!("a class of {first} is beyond the integers of 32 bits")) }
}

impl Tensor {
    /// Picks the maps of `classes` \[B, P\] from maps \[B, C, H, W\] and moves them to the last axis: \[B, H, W, P\].
    ///
    /// Slot p holds channel `classes[b, p]` − `first`, or 0 if that is not a channel (−1 marks an unused slot; with
    /// `first` = 1 the background has no channel). [`Tensor::scatter_slots`] is the transpose.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn gather_slots(&self, classes: &Tensor, first: usize) -> Result<Tensor> {
        Tensor::record(GatherSlots { first }, &[self, classes])
    }
}
