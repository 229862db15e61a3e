//! A dispatch as plain data: kernel, bindings, and number of workgroups.

use std::borrow::Cow;

use super::choices::Conversion;
use super::target::Target;
use crate::engine::types::TensorType;

/// The arguments of [`Op::launches`](crate::engine::graph::Op::launches).
pub struct LaunchContext<'a> {
    /// Types of the inputs.
    pub inputs: &'a [&'a TensorType],
    /// Type of the output.
    pub output: &'a TensorType,
    /// The target that kernel variants are chosen for.
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
    /// Source text; see [`wgsl`](super::wgsl) for the directives it may contain.
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
    /// Values of the placeholders in the kernel's text, which select the variant.
    pub defines: Vec<(&'static str, String)>,
    /// The uniform block at binding 0, as 32-bit words, without the start row and layer.
    pub params: Vec<u32>,
    /// The row and the layer of the grid at which it starts, if it is a piece of a larger launch. The kernel reads
    /// them after its parameters, as `p.first_row` and, if it has layers, `p.first_layer`; `None` if it cannot be
    /// split.
    pub first: Option<[u32; 2]>,
    /// The contents of bindings 1, 2, ….
    pub bindings: Vec<Slot>,
    /// Slots that are bound as `vec4<f32>` or `vec2<f32>` and may be stored in half precision, because the kernel
    /// accesses them only through `load_…` and `store_…`.
    pub fours: Vec<Slot>,
    /// The numbers of the bindings that are stored in half precision; set by the plan.
    pub half: Vec<usize>,
    /// How they are converted; set by the plan.
    pub conversion: Conversion,
    /// Workgroup counts. A launch that can be split may exceed a device's limit of 65 535, and then is split.
    pub workgroups: [u32; 3],
    /// Additions and multiplications of real numbers, for the profile; 0 if the kernel mostly moves or compares.
    pub operations: u64,
}

/// A storage buffer of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The op's input of that index, read (or updated, if the op mutates it).
    Input(usize),
    /// The op's output.
    Output,
    /// The scratch buffer of that index.
    Scratch(usize),
    /// The `count` inputs from index `first` on, all of which are states and updated: a device stores them in one
    /// buffer, according to their [`Packing`](super::Packing).
    States {
        /// The first of the inputs.
        first: usize,
        /// How many.
        count: usize,
    },
}

/// Invocations of a one-dimensional workgroup, the same in every kernel (`WORKGROUP` in the shaders).
pub const WORKGROUP: usize = 64;

/// Most workgroups along one axis of a grid.
const MOST_WORKGROUPS: usize = 65_535;

impl Launch {
    /// A launch of `invocations` threads in workgroups of [`WORKGROUP`], repeated `layers` times along z.
    ///
    /// Counts above 65 535 workgroups are folded into y, and long launches are split into pieces: kernels compute their
    /// position with `invocation_index` or `workgroup_index` of `common/index.wgsl`, and by `p.first_layer + id.z`. The
    /// last fields of their `Params` are `first_row: u32` and, if there are layers, `first_layer: u32`.
    pub fn new(shader: Shader, invocations: usize, layers: usize) -> Self {
        let groups = invocations.div_ceil(WORKGROUP).max(1);
        let rows = groups.div_ceil(MOST_WORKGROUPS);
        let columns = groups.div_ceil(rows);
        Launch {
            shader,
            defines: Vec::new(),
            params: Vec::new(),
            first: Some([0, 0]),
            bindings: Vec::new(),
            fours: Vec::new(),
            half: Vec::new(),
            conversion: Conversion::Integers,
            workgroups: [columns as u32, rows as u32, layers as u32],
            operations: 0,
        }
    }

    /// Sets one placeholder of the kernel's text.
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

    /// Sets the number of arithmetic operations, the product of `factors`.
    pub fn operations(mut self, factors: &[usize]) -> Self {
        // Counted in 64 bits, also where addresses have 32.
        self.operations = factors.iter().fold(1, |count: u64, &factor| count.saturating_mul(factor as u64));
        self
    }

    /// The first and the number of inputs of every [`Slot::States`].
    pub(crate) fn states(&self) -> impl Iterator<Item = (usize, usize)> {
        self.bindings.iter().filter_map(|slot| match *slot {
            Slot::States { first, count } => Some((first, count)),
            _ => None,
        })
    }

    /// The words of the uniform block.
    pub(crate) fn block(&self) -> Vec<u32> {
        self.params.iter().copied().chain(self.first.into_iter().flatten()).collect()
    }

    /// Marks a launch of a kernel that computes its position in another way, which is never split.
    pub fn uncut(mut self) -> Self {
        self.first = None;
        self
    }

    /// This launch as `count` launches one after another, each over a part of its workgroups; fewer if there are not
    /// so many, more if it has too many layers, and one if it cannot be split.
    pub(crate) fn pieces(self, count: u64) -> Vec<Launch> {
        let ([columns, rows, layers], Some(first)) = (self.workgroups, self.first) else { return vec![self] };
        let most = MOST_WORKGROUPS as u32;
        let groups = u64::from(columns) * u64::from(rows);
        let parts = layers.div_ceil(most).max(1);
        let count = count.div_ceil(u64::from(parts)).clamp(1, groups.max(1)) as u32;
        if count * parts < 2 {
            return vec![self];
        }
        let own = rows.div_ceil(count);
        let columns = groups.div_ceil(u64::from(own * count)) as u32;
        let operations = self.operations.div_ceil(u64::from(count * parts));
        let piece = |part: u32, index: u32| Launch {
            workgroups: [columns, own, most.min(layers - part * most)],
            first: Some([first[0] + index * own, first[1] + part * most]),
            operations,
            ..self.clone()
        };
        (0..count * parts).map(|number| piece(number / count, number % count)).collect()
    }

    /// Sets the storage bindings.
    pub fn bind(mut self, slots: &[Slot]) -> Self {
        self.bindings = slots.to_vec();
        self
    }

    /// Declares the slots that the kernel binds as `vec4<f32>` or `vec2<f32>` and accesses only through `load_…` and
    /// `store_…`, which may be stored in half precision.
    pub fn fours(mut self, slots: &[Slot]) -> Self {
        self.fours.extend_from_slice(slots);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: pieces cover every workgroup of every layer once, within the limits of a device.
    #[test]
    fn pieces_cover_the_grid() {
        let shader = Shader { name: "test", source: Cow::Borrowed("") };
        for (invocations, layers, count) in
            [(64, 1, 1), (64 * 7, 3, 1), (64 * 7, 3, 4), (64 * 70_000, 2, 3), (64, 70_000, 1), (64 * 5, 200_000, 9)]
        {
            let launch = Launch::new(shader.clone(), invocations, layers);
            let pieces = launch.clone().pieces(count);
            let mut seen = vec![0; layers];
            let mut ends = vec![0; layers];
            for Launch { workgroups: [x, y, z], first, .. } in &pieces {
                assert!([x, y, z].iter().all(|count| (1..=65_535).contains(*count)), "{pieces:?}");
                let [row, layer] = first.unwrap();
                for layer in layer..layer + z {
                    assert_eq!(ends[layer as usize], row * x, "pieces follow each other");
                    ends[layer as usize] = (row + y) * x;
                    seen[layer as usize] += x * y;
                }
            }
            assert!(seen.iter().all(|&groups| groups as usize >= invocations.div_ceil(WORKGROUP)), "{pieces:?}");
            assert_eq!(launch.clone().uncut().pieces(count), [launch.uncut()]);
        }
    }
}
