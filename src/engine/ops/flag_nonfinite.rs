//! Detects infinities and NaN by their bits, on the device.

use super::assign::{check_states, nothing};
use super::matmul::mismatch;
use super::pack::Packed;
use crate::engine::graph::{Op, Tensor, TensorType};
use crate::engine::kernel::{BLOCK, Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// flags\[k\] ← 1 if an element of tensor k is infinite or NaN; other flags are unchanged. Inputs: flags, tensors
/// packed into one, and (k, number of valid elements) of every block.
#[derive(Debug)]
struct FlagNonfinite;

impl Op for FlagNonfinite {
    fn name(&self) -> &'static str {
        "flag_nonfinite"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [_, _, _] = inputs else { return Err("takes flags, values and blocks".into()) };
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let quads = context.inputs[1].shape.len().div_ceil(4);
        Launch::new(shader!("flag_nonfinite"), quads, 1)
            .uints(&[quads])
            .bind(&[Slot::Input(1), Slot::Input(2), Slot::Input(0)])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::flag_nonfinite::flag_nonfinite(inputs[0], inputs[1], inputs[2], BLOCK)]
    }

    fn mutates(&self) -> &[usize] {
        &[0]
    }
}

impl Tensor {
    /// Records that flag k of this state \[n\] becomes 1 if tensor k of `values` contains an infinity or NaN. Flags are
    /// never cleared.
    ///
    /// # Errors
    /// If this is not a state with as many flags as there are tensors.
    #[track_caller]
    pub fn flag_nonfinite(&self, values: &Packed) -> Result<()> {
        if self.shape()[..] != [values.tensors.len()] {
            let reason = format!("there are {} tensors", values.tensors.len());
            return Err(mismatch("flag_nonfinite", &[self], &reason));
        }
        for (range, part) in &values.parts {
            let packing = values.packing(range.clone());
            let blocks = packing.of_blocks(|tensor, first| {
                let flag = range.start + tensor;
                let count = (values.tensors[flag].shape().len() - first).min(BLOCK);
                [flag as f64, count as f64]
            });
            let blocks = self.graph().constant(blocks.as_flattened(), [blocks.len(), 2]);
            check_states("flag_nonfinite", &[self, part, &blocks], FlagNonfinite.mutates())?;
            Tensor::record(FlagNonfinite, &[self, part, &blocks])?;
        }
        Ok(())
    }
}
