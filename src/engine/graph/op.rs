//! What an operation is: a shape rule, a gradient, a launch as plain data, and a twin on the CPU.

use std::borrow::Cow;
use std::fmt::Debug;

use super::packing::Packing;
use super::target::Target;
use super::tensor::Tensor;
use super::types::TensorType;
use crate::engine::reference::Array;
use crate::error::Result;

/// One operation of the engine.
///
/// An op lives in four places of one name: `shaders/<op>.wgsl`, `src/ops/<op>.rs` (this trait),
/// `src/reference/<op>.rs` and a row of `tests/ops.rs`. Ops know no device: [`Op::launches`] only describes.
pub trait Op: Debug + 'static {
    /// The file name that the four places share.
    fn name(&self) -> &'static str;

    /// Shape rule: the output's type, or the reason why the operands do not fit.
    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String>;

    /// Records the gradient with respect to every input; `None` where an input takes none (labels, boxes).
    ///
    /// Ops without a gradient keep this default, and differentiating through them fails while the graph is built.
    fn backward(&self, _context: &Backward<'_>) -> Result<Vec<Option<Tensor>>, BackwardError> {
        Err(BackwardError::Undefined)
    }

    /// The dispatches that compute the output.
    fn launches(&self, context: &LaunchContext<'_>) -> Launches;

    /// The same computation in f64: one array, the output; for an op that [mutates](Op::mutates), the new value of
    /// each mutated input in order.
    fn reference(&self, inputs: &[&Array]) -> Vec<Array>;

    /// Whether the output is the first input under another shape: nothing runs and the storage is shared.
    fn is_alias(&self) -> bool {
        false
    }

    /// Inputs (all of them states) that are updated in place. Such an op runs even if nothing reads its output.
    fn mutates(&self) -> &[usize] {
        &[]
    }

    /// Where each input begins in the output, if that is nothing but the inputs one behind the other. A device lets
    /// whoever computes an input write it there, where it can, and leaves out the launch that would copy it.
    fn packing(&self, _inputs: &[&TensorType]) -> Option<Packing> {
        None
    }

    /// The function computed, if this op acts on every element alone and may be fused with its neighbours.
    fn elementwise(&self) -> Option<&crate::engine::ops::elementwise::Elementwise> {
        None
    }
}

/// What [`Op::backward`] sees.
pub struct Backward<'a> {
    /// The op's inputs.
    pub inputs: &'a [Tensor],
    /// The op's output.
    pub output: &'a Tensor,
    /// Gradient of the objective with respect to the output; never assumed to be 1.
    pub grad: &'a Tensor,
    /// Which inputs need a gradient; work for the others may be skipped.
    pub needed: &'a [bool],
}

/// Why a gradient cannot be recorded.
#[derive(Debug)]
pub enum BackwardError {
    /// The op has no gradient.
    Undefined,
    /// Recording it failed.
    Record(crate::error::Error),
}

impl From<crate::error::Error> for BackwardError {
    fn from(error: crate::error::Error) -> Self {
        BackwardError::Record(error)
    }
}

/// What [`Op::launches`] may depend on.
pub struct LaunchContext<'a> {
    /// Types of the inputs.
    pub inputs: &'a [&'a TensorType],
    /// Type of the output.
    pub output: &'a TensorType,
    /// What variants of a kernel are chosen for.
    pub target: Target,
}

/// The dispatches of one op, in order, and the scratch buffers they share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// Dispatches, in order.
    pub list: Vec<Launch>,
    /// Elements (four bytes each) of every scratch buffer.
    pub scratch: Vec<usize>,
}

impl From<Launch> for Launches {
    fn from(launch: Launch) -> Self {
        Launches { list: vec![launch], scratch: Vec::new() }
    }
}

/// A WGSL kernel before its variant is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// File name without extension.
    pub name: &'static str,
    /// Source text; see [`crate::engine::gpu::wgsl`] for the few directives it may hold.
    pub source: Cow<'static, str>,
}

/// Embeds `shaders/<name>.wgsl`.
#[macro_export]
#[doc(hidden)]
macro_rules! shader {
    ($name:literal) => {
        $crate::engine::graph::Shader {
            name: $name,
            source: ::std::borrow::Cow::Borrowed(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/shaders/",
                $name,
                ".wgsl"
            ))),
        }
    };
}

/// One dispatch, as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The kernel.
    pub shader: Shader,
    /// Names that the kernel's text leaves open, with their values: the variant.
    pub defines: Vec<(&'static str, String)>,
    /// The uniform block at binding 0, as 32-bit words.
    pub params: Vec<u32>,
    /// What stands at bindings 1, 2, ….
    pub bindings: Vec<Slot>,
    /// The numbers of the bindings that are stored in half precision; an op leaves that to the plan.
    pub half: Vec<usize>,
    /// Workgroup counts.
    pub workgroups: [u32; 3],
    /// Additions and multiplications of real numbers, for the profile; 0 where the kernel mostly moves or compares.
    pub operations: u64,
}

/// A storage buffer of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The op's input of that index, read (or updated, where the op mutates it).
    Input(usize),
    /// The op's output.
    Output,
    /// The scratch buffer of that index.
    Scratch(usize),
    /// The `count` inputs from index `first` on, states all of them and updated: a device keeps them in one buffer, as
    /// their [`Packing`] says.
    States {
        /// The first of the inputs.
        first: usize,
        /// How many.
        count: usize,
    },
}

/// Invocations of a one-dimensional workgroup, the same in every kernel (`WORKGROUP` in the shaders).
pub const WORKGROUP: usize = 64;

impl Launch {
    /// A launch of `invocations` threads in workgroups of [`WORKGROUP`], repeated `layers` times along z.
    ///
    /// Counts above 65 535 workgroups are folded into y; kernels recover the index with `invocation_index`.
    pub fn new(shader: Shader, invocations: usize, layers: usize) -> Self {
        let groups = invocations.div_ceil(WORKGROUP).max(1);
        let rows = groups.div_ceil(65_535);
        let columns = groups.div_ceil(rows);
        Launch {
            shader,
            defines: Vec::new(),
            params: Vec::new(),
            bindings: Vec::new(),
            half: Vec::new(),
            workgroups: [columns as u32, rows as u32, layers as u32],
            operations: 0,
        }
    }

    /// Sets one open name of the kernel's text.
    pub fn define(mut self, name: &'static str, value: impl ToString) -> Self {
        self.defines.push((name, value.to_string()));
        self
    }

    /// Appends unsigned parameters.
    pub fn uints(mut self, values: &[usize]) -> Self {
        self.params.extend(values.iter().map(|&value| value as u32));
        self
    }

    /// Appends real parameters, rounded to f32.
    pub fn floats(mut self, values: &[f64]) -> Self {
        self.params.extend(values.iter().map(|&value| (value as f32).to_bits()));
        self
    }

    /// Sets the number of arithmetic operations.
    pub fn operations(mut self, count: usize) -> Self {
        self.operations = count as u64;
        self
    }

    /// The first and the number of inputs of every [`Slot::States`].
    pub(crate) fn states(&self) -> impl Iterator<Item = (usize, usize)> {
        self.bindings.iter().filter_map(|slot| match *slot {
            Slot::States { first, count } => Some((first, count)),
            _ => None,
        })
    }

    /// This launch as `count` launches one after another, each over a part of its workgroups; fewer where there are not
    /// so many, and one of a kernel that asks neither `invocation_index` nor `workgroup_index` where it is.
    pub(crate) fn pieces(self, count: u64) -> Vec<Launch> {
        let [columns, rows, layers] = self.workgroups;
        let groups = u64::from(columns) * u64::from(rows);
        let count = count.min(groups) as u32;
        let asks = ["invocation_index(", "workgroup_index("].iter().any(|call| self.shader.source.contains(call));
        if count < 2 || !asks {
            return vec![self];
        }
        let own = rows.div_ceil(count);
        let columns = groups.div_ceil(u64::from(own * count)) as u32;
        let operations = self.operations.div_ceil(u64::from(count));
        let piece = |index: u32| Launch {
            workgroups: [columns, own, layers],
            operations,
            ..self.clone().define("FIRST_ROW", format!("{}u", index * own))
        };
        (0..count).map(piece).collect()
    }

    /// Sets the storage bindings.
    pub fn bind(mut self, slots: &[Slot]) -> Self {
        self.bindings = slots.to_vec();
        self
    }
}
