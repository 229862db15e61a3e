//! Finding infinities and NaN by their bits, on the device, without asking the host.

use super::assign::{check_states, nothing};
use crate::error::Result;
use crate::graph::{DType, Launch, LaunchContext, Launches, Op, Slot, Tensor, TensorType};
use crate::reference::{self, Array};
use crate::shader;

/// flags\[slot\] ← 1 if an element of x is infinite or NaN; other flags, and a set one, stay.
#[derive(Debug)]
struct FlagNonfinite {
    slot: usize,
}

impl Op for FlagNonfinite {
    fn name(&self) -> &'static str {
        "flag_nonfinite"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [flags, x] = inputs else { return Err("takes flags and a value".into()) };
        if flags.shape.rank() != 1 || self.slot >= flags.shape[0] {
            return Err(format!("there is no flag {}", self.slot));
        }
        if x.dtype != DType::F32 {
            return Err("takes real values".into());
        }
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let n = context.inputs[1].shape.len();
        Launch::new(shader!("flag_nonfinite"), n.div_ceil(4), 1)
            .uints(&[n, self.slot])
            .bind(&[Slot::Input(0), Slot::Input(1)])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::flag_nonfinite::flag_nonfinite(inputs[0], inputs[1], self.slot)]
    }

    fn mutates(&self) -> &[usize] {
        &[0]
    }
}

impl Tensor {
    /// Records that flag `slot` of this state \[n\] becomes 1 if `value` holds an infinity or NaN. Flags are never
    /// cleared by it. The result is not to be read.
    ///
    /// # Errors
    /// If this is no state \[n\] with that slot, or the value is not real.
    #[track_caller]
    pub fn flag_nonfinite(&self, value: &Tensor, slot: usize) -> Result<Tensor> {
        let op = FlagNonfinite { slot };
        check_states("flag_nonfinite", &[self, value], op.mutates())?;
        Tensor::record(op, &[self, value])
    }
}
