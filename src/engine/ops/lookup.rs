//! Per-image tables: slot numbers back to class numbers.

use crate::engine::graph::{DType, Op, Tensor, TensorType};
use crate::engine::kernel::{Launch, LaunchContext, Launches, Slot, shader};
use crate::engine::reference;
use crate::engine::reference::Array;
use crate::error::Result;

/// Table \[B, P\] and index \[B, …\] to table\[b, index\].
#[derive(Debug)]
struct Lookup;

impl Op for Lookup {
    fn name(&self) -> &'static str {
        "lookup"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        let (table, index) = (inputs[0], inputs[1]);
        let fits = table.shape.rank() == 2 && table.shape[1] > 0 && index.shape.first() == table.shape.first();
        if !fits || table.dtype != DType::I32 || index.dtype != DType::I32 {
            return Err("needs an integer table [B, P] and integer indices [B, ..]".into());
        }
        Ok(index.clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let (table, index) = (&context.inputs[0].shape, &context.inputs[1].shape);
        let plane = index[1..].iter().product::<usize>();
        let vector = plane.is_multiple_of(4);
        let plane = if vector { plane / 4 } else { plane };
        let launch = Launch::new(shader!("lookup"), table[0] * plane, 1)
            .define("INDEX", if vector { "vec4<i32>" } else { "i32" })
            .uints(&[table[0], table[1], plane])
            .bind(&[Slot::Input(0), Slot::Input(1), Slot::Output]);
        if vector { launch.define("VECTOR", 1).into() } else { launch.into() }
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference::lookup::lookup(inputs[0], inputs[1])]
    }
}

impl Tensor {
    /// Replaces every index \[B, …\] by an entry of its image's table \[B, P\]; indices are clamped to the table.
    ///
    /// Both are integers, and so is the result. Has no gradient.
    ///
    /// # Errors
    /// If the shapes or types do not fit.
    #[track_caller]
    pub fn lookup(&self, index: &Tensor) -> Result<Tensor> {
        Tensor::record(Lookup, &[self, index])
    }
}
