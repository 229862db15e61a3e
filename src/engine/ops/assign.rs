//! Writing into states: a whole one, or one row.

use std::collections::HashSet;

use super::matmul::mismatch;
use crate::engine::graph::{DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// The type of the result of an updating op: one element that is never read.
pub(crate) fn nothing() -> TensorType {
    TensorType::f32([1])
}

/// Refuses an update of a value that is not a state, and one that reads or writes the updated state a second time.
#[track_caller]
pub(crate) fn check_states(op: &'static str, inputs: &[&Tensor], mutated: &[usize]) -> Result<()> {
    for &slot in mutated {
        if !inputs[slot].is_state() {
            return Err(mismatch(op, inputs, &format!("operand {slot} is not a state and cannot be updated")));
        }
        if inputs.iter().filter(|input| input.id() == inputs[slot].id()).count() > 1 {
            return Err(mismatch(op, inputs, &format!("operand {slot} is updated and used twice")));
        }
    }
    Ok(())
}

/// The first tensor that is listed a second time.
pub(crate) fn listed_twice<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> Option<&'t Tensor> {
    let mut known = HashSet::new();
    tensors.into_iter().find(|tensor| !known.insert(tensor.id()))
}

/// The value for an update of a state. A state is copied: the two may share a buffer, which no dispatch may both read
/// and write.
#[track_caller]
fn apart(value: &Tensor) -> Result<Tensor> {
    let len = value.shape().len();
    if value.lies_in_state() {
        value.reshape([len])?.pad(0, 0, len)?.reshape(value.shape().clone())
    } else {
        Ok(value.clone())
    }
}

/// state ← value
#[derive(Debug)]
struct Assign;

impl Op for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        if inputs[0] != inputs[1] {
            return Err("the state and the value differ in shape".into());
        }
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let quads = context.inputs[0].shape.len().div_ceil(4);
        Launch::new(shader!("assign"), quads, 1)
            .uints(&[quads])
            .bind(&[Slot::Input(0), Slot::Input(1)])
            .fours(&[Slot::Input(1)])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::assign::assign(inputs[0], inputs[1])]
    }

    fn mutates(&self) -> &[usize] {
        &[0]
    }
}

/// state\[row\] ← values
#[derive(Debug)]
struct WriteRow;

impl Op for WriteRow {
    fn name(&self) -> &'static str {
        "write_row"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let [state, values, row] = inputs else { return Err("takes a state, values and a row".into()) };
        if state.shape.rank() != 2 || state.shape[1..] != values.shape[..] || values.dtype != DType::F32 {
            return Err("needs a state [rows, n] and values [n]".into());
        }
        if **row != TensorType::i32([1]) {
            return Err("the row must be one integer".into());
        }
        Ok(nothing())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (rows, width) = (context.inputs[0].shape[0], context.inputs[0].shape[1]);
        Launch::new(shader!("write_row"), width, 1)
            .uints(&[rows, width])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Input(2)])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::assign::write_row(inputs[0], inputs[1], inputs[2].data[0])]
    }

    fn mutates(&self) -> &[usize] {
        &[0]
    }
}

impl Tensor {
    /// Records that this state takes `value` in every run. The result is not to be read.
    ///
    /// # Errors
    /// If this is not a state or the shapes differ.
    #[track_caller]
    pub fn assign(&self, value: &Tensor) -> Result<Tensor> {
        check_states("assign", &[self, value], Assign.mutates())?;
        Tensor::record(Assign, &[self, &apart(value)?])
    }

    /// Records that row `row` (i32 \[1\]) of this state \[rows, n\] takes `values` \[n\] in every run; a row outside
    /// changes nothing. The result is not to be read.
    ///
    /// # Errors
    /// If this is not a state or the shapes do not fit.
    #[track_caller]
    pub fn write_row(&self, values: &Tensor, row: &Tensor) -> Result<Tensor> {
        check_states("write_row", &[self, values, row], WriteRow.mutates())?;
        Tensor::record(WriteRow, &[self, &apart(values)?, row])
    }
}
