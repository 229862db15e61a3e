//! The target that kernel variants are chosen for: a section of a kernel table, without variants that a device lacks.

use serde::{Deserialize, Serialize};

use super::choices::{BySize, ByWidth, Channels, Conversion, HalfProduct, Kernels, Queries, Tile, Walk};
use super::pace::Pace;
use crate::error::Result;

/// Turns of all its loops that an invocation makes at most. Mesa's software driver ends every loop of an invocation that
/// has made 65 535, without a word: what is longer is split among invocations.
pub(crate) const MOST_TURNS: usize = 60_000;

/// Invocations that share a row at most, since they share a workgroup.
const MOST_LANES: usize = 64;

/// Elements of a row that is walked at most.
pub(crate) const LONGEST_ROW: usize = MOST_LANES * MOST_TURNS / 2;

/// The class of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Software Vulkan: loads and barriers are expensive, arithmetic is cheap; two to a hundred threads.
    Cpu,
    /// Graphics hardware: tens of thousands of threads.
    Gpu,
}

/// The target of kernel choices: a section of a table, and which families of fast variants may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Target {
    /// The choices.
    pub kernels: Kernels,
    /// Whether large products may use tiles in workgroup memory if the table chooses them.
    pub tiled_products: bool,
    /// Whether products may use cooperative matrices if the table chooses them.
    pub cooperative_products: bool,
    /// The same for products of halves.
    pub half_products: bool,
    /// The cooperative matrices of halves.
    pub half_matrices: HalfMatrices,
    /// Whether halves may be converted by WGSL's functions if the table chooses that.
    pub builtin_halves: bool,
    /// Whether products may use subgroups if the table chooses them.
    pub subgroup_products: bool,
    /// Invocations per subgroup: 4 or 8.
    pub subgroup: usize,
    /// Whether neighbouring invocations may share a row through workgroup memory if the table chooses that.
    pub shared_rows: bool,
    /// Whether attention may use tiles in workgroup memory if the table chooses them.
    pub tiled_attention: bool,
    /// The rates of the device, by which long launches are cut: no result depends on them.
    pub pace: Pace,
    /// What is stored in half precision of the values that an op accesses; set by the plan.
    pub halves: Halves,
}

/// The cooperative matrices of halves that a device multiplies, with sums in f32.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct HalfMatrices {
    /// Rows, columns and terms: 8 or 16.
    pub side: usize,
    /// Subgroups in a workgroup, at most.
    pub subgroups: usize,
}

impl HalfMatrices {
    /// Elements of a workgroup's memory in which its subgroups leave their sums, a square of 2·side × 2·side each.
    pub fn sums(self) -> usize {
        4 * self.side * self.side * self.subgroups
    }
}

/// Which of the values that an op accesses are stored in half precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Halves {
    /// Nothing.
    None,
    /// Some.
    Some,
    /// The first two inputs, and maybe others.
    Operands,
}

/// A target in which all families that the choices need may be used.
impl From<Kernels> for Target {
    fn from(kernels: Kernels) -> Self {
        let BySize { small, medium, large, huge } = kernels.product;
        let tiles = [small, medium, large, huge].map(|by| [by.short, by.long]);
        let asks = |tile| tiles.as_flattened().contains(&tile);
        Target {
            kernels,
            tiled_products: asks(Tile::T64x64),
            cooperative_products: asks(Tile::Cooperative),
            half_products: kernels.product_of_halves == HalfProduct::Cooperative,
            half_matrices: HalfMatrices { side: 16, subgroups: 2 },
            builtin_halves: kernels.halves == Conversion::Builtin,
            subgroup_products: asks(Tile::Subgroup),
            subgroup: 8,
            shared_rows: [kernels.rows.short, kernels.rows.long].contains(&Walk::Together),
            tiled_attention: [kernels.attention.narrow, kernels.attention.wide].contains(&Queries::Tile),
            pace: Pace::default(),
            halves: Halves::None,
        }
    }
}

impl Target {
    /// Targets that together choose every variant that a table can name for every shape class.
    pub fn every(self) -> Result<Vec<Target>> {
        let mut choices = Kernels::choices()?;
        choices.retain(|(_, variants)| !variants.is_empty());
        let most = choices.iter().map(|(_, variants)| variants.len()).max().unwrap_or(0);
        let variants = |index: usize| {
            let nth = |kernels: Kernels, (name, variants): &(String, &[&str])| {
                kernels.choosing(name, variants[index % variants.len()])
            };
            choices.iter().try_fold(self.kernels, nth)
        };
        (0..most).map(|index| variants(index).map(Target::from)).collect()
    }

    /// The same for an op of which some values are stored in half precision, given which inputs are: cooperative matrices
    /// of f32 cannot load them, and those of halves nothing else.
    pub(crate) fn of_halves(self, inputs: &[bool]) -> Target {
        let halves = if inputs.starts_with(&[true, true]) { Halves::Operands } else { Halves::Some };
        Target { halves, ..self }
    }

    /// How kernels convert halves.
    pub(crate) fn conversion(self) -> Conversion {
        if self.builtin_halves { self.kernels.halves } else { Conversion::Integers }
    }

    /// The cooperative matrices for products of the halves that an op accesses, if it may use them.
    pub(crate) fn matrices_of_halves(self) -> Option<HalfMatrices> {
        let chosen = self.kernels.product_of_halves == HalfProduct::Cooperative && self.half_products;
        (chosen && self.halves == Halves::Operands).then_some(self.half_matrices)
    }

    /// Invocations needed to keep the device busy, below which splitting a long sum pays off.
    pub fn busy(self) -> usize {
        self.kernels.busy
    }

    /// The tile of products with so many results, in all batches, each a sum of so many terms.
    pub fn tile(self, results: usize, terms: usize) -> Tile {
        match self.named(results, terms) {
            Tile::T64x64 if !self.tiled_products => Tile::T8x8,
            Tile::Cooperative if !self.cooperative_products || self.halves != Halves::None => Tile::T8x8,
            Tile::Subgroup if !self.subgroup_products && self.fills(results, terms) => Tile::T16x16,
            Tile::Subgroup if !self.subgroup_products => Tile::T8x8,
            tile => tile,
        }
    }

    /// Parts into which the sums of such products are split to keep the device busy, at least 1. By the table alone: a
    /// device that lacks the features of a tile adds the same terms in the same order.
    pub fn splits(self, results: usize, terms: usize) -> usize {
        // An invocation adds four terms in a turn; those of a workgroup bring them into its memory one by one.
        let most = if self.named(results, terms) == Tile::T64x64 { MOST_TURNS / 2 } else { 4 * MOST_TURNS };
        self.turns(results, terms).min(terms / 64).max(terms.div_ceil(most)).max(1)
    }

    /// Whether such products keep the device busy without a split.
    pub fn fills(self, results: usize, terms: usize) -> bool {
        self.turns(results, terms) == 0
    }

    /// The ratio of the invocations of a busy device to those of such products.
    fn turns(self, results: usize, terms: usize) -> usize {
        self.busy() / results.div_ceil(self.named(results, terms).share())
    }

    /// The tile that the table chooses for such products.
    fn named(self, results: usize, terms: usize) -> Tile {
        let BySize { small, medium, large, huge } = self.kernels.product;
        let by_length = match results {
            0..0x2000 => small,
            0x2000..0x1_0000 => medium,
            0x1_0000..0x10_0000 => large,
            _ => huge,
        };
        by_length.of(terms, 1024)
    }

    /// Invocations that share a row of so many elements through workgroup memory.
    pub fn lanes(self, width: usize) -> usize {
        match self.kernels.rows.of(width, 128) {
            // A row is walked twice.
            _ if width > 16 * MOST_TURNS / 2 => MOST_LANES,
            Walk::Together if self.shared_rows => 16,
            _ if width > MOST_TURNS / 2 => 16,
            _ => 1,
        }
    }

    /// Invocations that share a run of so many loads.
    pub fn walkers(self, loads: usize) -> usize {
        match self.kernels.runs {
            Walk::Alone if loads <= MOST_TURNS => 1,
            _ => loads.min(32),
        }
    }

    /// Channels of a depth-wise convolution that an invocation computes under windows of so many taps a side.
    pub fn channels_under(self, side: usize) -> usize {
        match self.kernels.depthwise_5x5 {
            Channels::Two if side == 5 => 2,
            _ => 4,
        }
    }

    /// The rows of attention that are computed together for heads of so many channels.
    pub fn queries(self, channels: usize) -> Queries {
        let ByWidth { narrow, wide } = self.kernels.attention;
        match if channels > 32 { wide } else { narrow } {
            Queries::Tile if !self.tiled_attention || channels > 64 => Queries::Two,
            queries => queries,
        }
    }
}
