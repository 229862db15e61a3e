//! A dispatch as plain data: which kernel, what it binds, over how many workgroups.

use std::borrow::Cow;

use super::target::Target;
use crate::engine::types::TensorType;

/// What [`Op::launches`](crate::engine::graph::Op::launches) may depend on.
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
    /// Source text; see [`wgsl`](super::wgsl) for the few directives it may hold.
    pub source: Cow<'static, str>,
}

/// Embeds `shaders/<name>.wgsl`.
#[macro_export]
#[doc(hidden)]
macro_rules! shader {
    ($name:literal) => {
        $crate::engine::kernel::Shader {
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

pub use shader;

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
