//! How a product of matrices is launched: the tile that is computed together, the loads of every operand, long sums in
//! parts. One kernel reads and writes matrices that lie in a tensor by strides, or as the patches of an image.

use super::conv2d::Patches;
use crate::graph::{Launch, Launches, Slot, Target, WORKGROUP};
use crate::shader;

/// How a matrix lies in a tensor: element strides.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct View {
    /// Steps along the two batch axes.
    pub batch: [usize; 2],
    /// Step to the next row.
    pub row: usize,
    /// Step to the next column.
    pub column: usize,
}

impl View {
    pub(super) fn transposed(self) -> Self {
        View { row: self.column, column: self.row, ..self }
    }

    /// Whether four neighbours along the axis of step 1 may be loaded at once, given that axis' extent.
    fn aligned(&self, extent: usize, other: usize) -> bool {
        [extent, other, self.batch[0], self.batch[1]].into_iter().all(|value| value.is_multiple_of(4))
    }
}

/// How a matrix lies in a tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Layout {
    /// Element by element.
    Strided(View),
    /// As the patches of an image, one a row, which are stored nowhere. In a result they must not overlap.
    Patches(Patches),
}

impl Layout {
    /// How the kernel calls it, and its parameters there.
    fn described(&self) -> (&'static str, Vec<usize>) {
        match self {
            Layout::Strided(View { batch: [batch0, batch1], row, column }) => {
                ("View", vec![*batch0, *batch1, *row, *column])
            }
            Layout::Patches(patches) => ("Window", patches.words().to_vec()),
        }
    }

    /// Which neighbours among `rows` × `columns` are loaded or stored by fours.
    fn fours(&self, rows: usize, columns: usize) -> Fours {
        match self {
            Layout::Strided(view) if view.column == 1 && view.aligned(columns, view.row) => Fours::Columns,
            Layout::Strided(view) if view.row == 1 && view.aligned(rows, view.column) => Fours::Rows,
            Layout::Strided(_) => Fours::None,
            Layout::Patches(_) => Fours::Patches,
        }
    }
}

/// What is loaded or stored by fours.
#[derive(Clone, Copy, PartialEq)]
enum Fours {
    /// Neighbouring columns of a row.
    Columns,
    /// Neighbouring rows of a column.
    Rows,
    /// Neighbouring columns of a patch.
    Patches,
    /// Nothing.
    None,
}

/// The tile of a workgroup, computed by way of its own memory.
const SHARED: [usize; 2] = [64, 64];
/// The tile of a workgroup that multiplies cooperative matrices. All others are those of one invocation.
const COOPERATIVE: [usize; 2] = [32, 32];

/// out\[b, i, j\] = bias\[j\] + Σ_k a\[b, i, k\] · b\[b, k, j\], b over both batch axes: inputs a, b and, if `biased`,
/// the bias.
pub(super) struct Product {
    /// Rows of the product.
    pub m: usize,
    /// Columns of the product.
    pub n: usize,
    /// Length of every sum.
    pub k: usize,
    /// Extents of the batch axes.
    pub batch: [usize; 2],
    /// First operand, \[m, k\]: patches lie along k.
    pub a: Layout,
    /// Second operand, \[k, n\]: patches lie along n.
    pub b: Layout,
    /// Result, \[m, n\].
    pub out: Layout,
    /// Whether a third input \[n\] is added to every row.
    pub biased: bool,
}

impl Product {
    /// The dispatches that compute it.
    pub(super) fn launches(&self, target: Target) -> Launches {
        let batches = self.batch[0] * self.batch[1];
        let tile = self.tile(target);
        // A dispatch has 65 535 workgroups along z at most.
        let most = (target.busy() / (self.invocations(tile) * batches)).min(self.k / 64).min(65_535 / batches);
        if most < 2 {
            return self.pass(tile, self.out, Slot::Output, self.k, self.biased).into();
        }
        let chunk = self.k.div_ceil(most).next_multiple_of(if tile == COOPERATIVE { 8 } else { 4 });
        let splits = self.k.div_ceil(chunk);
        // The partial products lie one after another as [split, batch, m, n]; the second launch adds them in order.
        let partial = View { batch: [self.batch[1] * self.m * self.n, self.m * self.n], row: self.n, column: 1 };
        let first = self.pass(tile, Layout::Strided(partial), Slot::Scratch(0), chunk, false);
        let (layout, words) = self.out.described();
        let mut slots = vec![Slot::Scratch(0)];
        let mut second = Launch::new(shader!("matmul_sum"), batches * self.m * self.n, 1)
            .define("OUT_LAYOUT", layout)
            .uints(&[self.m, self.n, self.batch[1], batches])
            .uints(&words)
            .uints(&[splits]);
        if matches!(self.out, Layout::Patches(_)) {
            second = second.define("OUT_PATCHES", 1);
        }
        if self.biased {
            second = second.define("BIAS", 1);
            slots.push(Slot::Input(2));
        }
        slots.push(Slot::Output);
        Launches { list: vec![first, second.bind(&slots)], scratch: vec![splits * batches * self.m * self.n] }
    }

    /// Rows and columns of the table's tile; a smaller one where much of that would lie outside the result.
    fn tile(&self, target: Target) -> [usize; 2] {
        let mut tile = target.tile(self.batch[0] * self.batch[1] * self.m * self.n, self.k).sides();
        if tile == SHARED || tile == COOPERATIVE {
            let fits = tile == SHARED || self.is_of_eights();
            if fits && 3 * self.m * self.n >= 2 * self.tiles(tile) * tile[0] * tile[1] {
                return tile;
            }
            tile = [8, 8];
        }
        let fitting = |side: usize, extent: usize| match side {
            16 if extent.next_multiple_of(16) - extent <= extent / 8 => 16,
            8 | 16 if extent > 4 => 8,
            _ => 4,
        };
        [fitting(tile[0], self.m), fitting(tile[1], self.n)]
    }

    /// Whether it is made of whole matrices of 8×8, which lie so that they can be loaded and stored at once.
    fn is_of_eights(&self) -> bool {
        let lies = |layout: &Layout, rows, columns| matches!(layout.fours(rows, columns), Fours::Rows | Fours::Columns);
        [self.m, self.n, self.k].iter().all(|extent| extent.is_multiple_of(8))
            && lies(&self.a, self.m, self.k)
            && lies(&self.b, self.k, self.n)
            && lies(&self.out, self.m, self.n)
    }

    fn tiles(&self, [rows, columns]: [usize; 2]) -> usize {
        self.m.div_ceil(rows) * self.n.div_ceil(columns)
    }

    fn invocations(&self, tile: [usize; 2]) -> usize {
        self.tiles(tile) * if tile == SHARED || tile == COOPERATIVE { WORKGROUP } else { 1 }
    }

    /// The kernel for one pass over `chunk` terms of every sum; chunks lie along z after the batches.
    fn pass(&self, tile: [usize; 2], out: Layout, to: Slot, chunk: usize, bias: bool) -> Launch {
        let out_fours = match out.fours(self.m, self.n) {
            Fours::Rows => Fours::None,
            fours => fours,
        };
        let batches = self.batch[0] * self.batch[1];
        let splits = self.k.div_ceil(chunk);
        let cooperative = tile == COOPERATIVE;
        let shader = if cooperative { shader!("matmul_coop") } else { shader!("matmul") };
        let mut launch = Launch::new(shader, self.invocations(tile), batches * splits)
            .operations(2 * batches * self.m * self.n * self.k)
            .uints(&[self.m, self.n, self.k, chunk]);
        for (layout, fours, [element, kind], [columns, rows, patches, none]) in [
            (
                self.a,
                self.a.fours(self.m, self.k),
                ["A_ELEMENT", "A_LAYOUT"],
                ["A_ALONG_K", "A_ALONG_M", "A_PATCHES", "A_SCALAR"],
            ),
            (
                self.b,
                self.b.fours(self.k, self.n),
                ["B_ELEMENT", "B_LAYOUT"],
                ["B_ALONG_N", "B_ALONG_K", "B_PATCHES", "B_SCALAR"],
            ),
            (out, out_fours, ["OUT_ELEMENT", "OUT_LAYOUT"], ["OUT_VECTOR", "", "OUT_PATCHES", "OUT_SCALAR"]),
        ] {
            let (name, words) = layout.described();
            let loads = match fours {
                Fours::Columns => columns,
                Fours::Rows => rows,
                Fours::Patches => patches,
                Fours::None => none,
            };
            let value = if cooperative || fours == Fours::None { "f32" } else { "vec4<f32>" };
            launch = launch.define(element, value).define(kind, name).define(loads, 1).uints(&words);
        }
        launch = launch.uints(&[self.batch[1], batches, batches * self.m * self.n]);
        // An invocation of a workgroup's tile computes 8×8 of it, and a cooperative matrix is 8×8.
        let own = if tile == SHARED || cooperative { [8, 8] } else { tile };
        for (side, [name, long, longer]) in
            own.into_iter().zip([["ROWS", "TALL", "TALLER"], ["COLUMNS", "WIDE", "WIDER"]])
        {
            launch = launch.define(name, format!("{side}u"));
            for (name, _) in [(long, 8), (longer, 16)].into_iter().filter(|(_, least)| side >= *least) {
                launch = launch.define(name, 1);
            }
        }
        if tile == SHARED {
            launch = launch.define("SHARED", 1);
        }
        let patches = [self.a, self.b, out].into_iter().filter_map(|layout| match layout {
            Layout::Patches(patches) => Some(patches),
            Layout::Strided(_) => None,
        });
        let patches: Vec<_> = patches.collect();
        if !patches.is_empty() {
            launch = launch.define("PATCHES", 1);
            if patches.iter().all(|patches| patches.grid[1].is_multiple_of(4)) {
                launch = launch.define("FOURS", 1);
            }
        }
        let mut slots = vec![Slot::Input(0), Slot::Input(1)];
        if bias {
            launch = launch.define("BIAS", 1);
            slots.push(Slot::Input(2));
        }
        slots.push(to);
        launch.bind(&slots)
    }
}
