//! The launch of a product of matrices: the tile that is computed together, the loads of every operand, long sums in
//! parts. The kernels read and write strided matrices, or the patches of an image.

use crate::engine::geometry::matrix::MatrixView;
use crate::engine::geometry::patches::Patches;
use crate::engine::kernel::{HalfMatrices, Launch, Launches, Registers, Slot, Target, Tile, WORKGROUP, shader};

/// The layout of a matrix in a tensor.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Layout {
    /// Element by element.
    Strided(MatrixView),
    /// As the patches of an image, one per row, which are not stored. In a result they must not overlap.
    Patches(Patches),
}

impl Layout {
    /// Its name and parameters in the kernel.
    fn described(&self) -> (&'static str, Vec<usize>) {
        match self {
            Layout::Strided(MatrixView { batch: [batch0, batch1], row, column }) => {
                ("View", vec![*batch0, *batch1, *row, *column])
            }
            Layout::Patches(patches) => ("Window", patches.words().to_vec()),
        }
    }

    /// Which neighbours among `rows` × `columns` are loaded or stored as `vec4`.
    fn fours(&self, rows: usize, columns: usize) -> Fours {
        match self {
            Layout::Strided(view) if view.column == 1 && view.aligned(columns, view.row) => Fours::Columns,
            Layout::Strided(view) if view.row == 1 && view.aligned(rows, view.column) => Fours::Rows,
            Layout::Strided(_) => Fours::None,
            Layout::Patches(_) => Fours::Patches,
        }
    }
}

/// What is loaded or stored as `vec4`.
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

/// Which invocations compute a tile of the result together.
#[derive(Clone, Copy, PartialEq)]
enum Team {
    /// One invocation.
    One,
    /// The invocations of a subgroup, of the given number: they exchange their loads by broadcast.
    Subgroup(usize),
    /// A workgroup, through its shared memory.
    Workgroup(Registers),
    /// A workgroup that multiplies cooperative matrices of f32.
    Cooperative,
    /// A workgroup that multiplies cooperative matrices of halves.
    CooperativeHalf(HalfMatrices),
}

impl Team {
    fn invocations(self) -> usize {
        match self {
            Team::One => 1,
            Team::Subgroup(lanes) => lanes,
            Team::Workgroup(_) | Team::Cooperative | Team::CooperativeHalf(_) => WORKGROUP,
        }
    }

    /// Rows, columns and terms that it multiplies at once, if it multiplies cooperative matrices.
    fn matrix(self) -> Option<usize> {
        match self {
            Team::One | Team::Subgroup(_) | Team::Workgroup(_) => None,
            Team::Cooperative => Some(8),
            Team::CooperativeHalf(matrices) => Some(matrices.side),
        }
    }
}

/// A part of the result that is computed together.
#[derive(Clone, Copy, PartialEq)]
struct Part {
    /// Rows and columns.
    sides: [usize; 2],
    team: Team,
}

impl Part {
    /// The placeholders of its shader.
    fn defines(self) -> Vec<(&'static str, usize)> {
        let [rows, columns] = self.sides;
        let flags = |flags: &[(&'static str, bool)]| {
            flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name, 1)).collect::<Vec<_>>()
        };
        match self.team {
            Team::One => {
                let sizes = [("ROWS", rows), ("COLUMNS", columns)];
                let sides =
                    [("TALL", rows >= 8), ("TALLER", rows >= 16), ("WIDE", columns >= 8), ("WIDER", columns >= 16)];
                [&sizes[..], &flags(&sides)].concat()
            }
            Team::Subgroup(lanes) => {
                let sizes = [("LANES", lanes), ("COLUMNS", columns)];
                [&sizes[..], &flags(&[("EIGHT", lanes == 8), ("WIDE", columns == 8 * lanes)])].concat()
            }
            Team::Workgroup(registers) => flags(&[("UNROLLED", registers >= Registers::Medium)]),
            Team::Cooperative => vec![("SIDE", 8)],
            Team::CooperativeHalf(matrices) => vec![("SIDE", matrices.side), ("SUMS", matrices.sums())],
        }
    }
}

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
        let part = self.part(target);
        let most = target.splits(batches * self.m * self.n, self.k);
        if most < 2 {
            return self.pass(part, self.out, Slot::Output, self.k, self.biased).into();
        }
        let step = part.team.matrix().unwrap_or(4);
        let chunk = self.k.div_ceil(most).next_multiple_of(step);
        let splits = self.k.div_ceil(chunk);
        // The partial products lie one after another as [split, batch, m, n]; the second launch adds them in order.
        let partial = MatrixView { batch: [self.batch[1] * self.m * self.n, self.m * self.n], row: self.n, column: 1 };
        let first = self.pass(part, Layout::Strided(partial), Slot::Scratch(0), chunk, false);
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

    /// The tile that the table chooses; a smaller one if much of it would be outside the result.
    fn part(&self, target: Target) -> Part {
        let batches = self.batch[0] * self.batch[1];
        let results = self.m * self.n;
        let padded = |[rows, columns]: [usize; 2]| self.m.next_multiple_of(rows) * self.n.next_multiple_of(columns);
        if let Some(matrices) = target.matrices_of_halves().filter(|matrices| self.is_of_matrices(matrices.side)) {
            let sides = [4 * matrices.side; 2];
            if padded([2 * matrices.side; 2]) <= 2 * results {
                return Part { sides, team: Team::CooperativeHalf(matrices) };
            }
        }
        let tile = target.tile(batches * results, self.k);
        let team = match tile {
            Tile::Subgroup => Team::Subgroup(target.subgroup),
            Tile::T64x64 => Team::Workgroup(target.kernels.registers),
            Tile::Cooperative => Team::Cooperative,
            _ => Team::One,
        };
        let larger = match team {
            Team::Subgroup(lanes) => {
                let [wide, narrow] = [[4 * lanes, 8 * lanes], [4 * lanes, 4 * lanes]];
                // There are more narrow tiles, and less of them is outside the result.
                let fills = target.fills(batches * results, self.k);
                let wide = Some(wide).filter(|&sides| fills && 4 * padded(sides) <= 5 * results);
                wide.or(Some(narrow).filter(|&sides| padded(sides) <= 2 * results))
            }
            Team::Workgroup(_) => Some([64, 64]).filter(|&sides| 2 * padded(sides) <= 3 * results),
            Team::Cooperative => {
                let whole = |sides: &[usize; 2]| self.is_of_matrices(8) && 2 * padded(*sides) <= 3 * results;
                Some([32, 32]).filter(whole)
            }
            Team::One | Team::CooperativeHalf(_) => None,
        };
        if let Some(sides) = larger {
            return Part { sides, team };
        }
        let fitting = |side: usize, extent: usize| match side {
            16 if extent.next_multiple_of(16) - extent <= extent / 8 => 16,
            8 | 16 if extent > 4 => 8,
            _ => 4,
        };
        let [rows, columns] = tile.alone();
        Part { sides: [fitting(rows, self.m), fitting(columns, self.n)], team: Team::One }
    }

    /// Whether it consists of whole matrices of that side whose layout allows loading and storing them at once.
    fn is_of_matrices(&self, side: usize) -> bool {
        let lies = |layout: &Layout, rows, columns| matches!(layout.fours(rows, columns), Fours::Rows | Fours::Columns);
        [self.m, self.n, self.k].iter().all(|extent| extent.is_multiple_of(side))
            && lies(&self.a, self.m, self.k)
            && lies(&self.b, self.k, self.n)
            && lies(&self.out, self.m, self.n)
    }

    /// The invocations per layer of the grid.
    fn invocations(&self, Part { sides: [rows, columns], team }: Part) -> usize {
        self.m.div_ceil(rows) * self.n.div_ceil(columns) * team.invocations()
    }

    /// The kernel for one pass over `chunk` terms of every sum; chunks are along z after the batches.
    fn pass(&self, part: Part, out: Layout, to: Slot, chunk: usize, bias: bool) -> Launch {
        let out_fours = match out.fours(self.m, self.n) {
            Fours::Rows => Fours::None,
            fours => fours,
        };
        let batches = self.batch[0] * self.batch[1];
        // A sum without terms is one, too: 0, or the bias.
        let splits = self.k.div_ceil(chunk.max(1)).max(1);
        let shader = match part.team {
            Team::One => shader!("matmul"),
            Team::Subgroup(_) => shader!("matmul_subgroup"),
            Team::Workgroup(_) => shader!("matmul_shared"),
            Team::Cooperative => shader!("matmul_coop"),
            Team::CooperativeHalf(_) => shader!("matmul_coop_half"),
        };
        let mut launch = Launch::new(shader, self.invocations(part), batches * splits)
            .operations(&[2, batches, self.m, self.n, self.k])
            .uints(&[self.m, self.n, self.k, chunk]);
        let mut by_fours = Vec::new();
        for (slot, layout, fours, [element, kind], [columns, rows, patches, none]) in [
            (
                Slot::Input(0),
                self.a,
                self.a.fours(self.m, self.k),
                ["A_ELEMENT", "A_LAYOUT"],
                ["A_ALONG_K", "A_ALONG_M", "A_PATCHES", "A_SCALAR"],
            ),
            (
                Slot::Input(1),
                self.b,
                self.b.fours(self.k, self.n),
                ["B_ELEMENT", "B_LAYOUT"],
                ["B_ALONG_N", "B_ALONG_K", "B_PATCHES", "B_SCALAR"],
            ),
            (to, out, out_fours, ["OUT_ELEMENT", "OUT_LAYOUT"], ["OUT_VECTOR", "", "OUT_PATCHES", "OUT_SCALAR"]),
        ] {
            let (name, words) = layout.described();
            let loads = match fours {
                Fours::Columns => columns,
                Fours::Rows => rows,
                Fours::Patches => patches,
                Fours::None => none,
            };
            let value = match part.team {
                Team::CooperativeHalf(_) if slot != to => "f16",
                Team::Cooperative => "f32",
                _ if fours == Fours::None => "f32",
                _ => "vec4<f32>",
            };
            if value != "f32" {
                by_fours.push(slot);
            }
            launch = launch.define(element, value).define(kind, name).define(loads, 1).uints(&words);
        }
        launch = launch.uints(&[self.batch[1], batches, batches * self.m * self.n]);
        if part.team.matrix().is_none() && self.k.is_multiple_of(4) && (splits == 1 || chunk.is_multiple_of(4)) {
            launch = launch.define("WHOLE", 1);
        }
        for (name, value) in part.defines() {
            launch = launch.define(name, format!("{value}u"));
        }
        if let Some(side) = part.team.matrix() {
            let operand = if part.team == Team::Cooperative { "f32" } else { "f16" };
            launch = launch.define("MATRIX", format!("coop_mat{side}x{side}")).define("OPERAND", operand);
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
            // The bias has the layout of the columns of the result.
            by_fours.extend(by_fours.contains(&to).then_some(Slot::Input(2)));
        }
        slots.push(to);
        launch.bind(&slots).fours(&by_fours)
    }
}
