//! What kernel variants are chosen for: the choices of a kernel table, and what ops ask of them.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};

/// The class of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Software Vulkan: loads and barriers cost, arithmetic does not; two to a hundred threads.
    Cpu,
    /// Graphics hardware: tens of thousands of threads.
    Gpu,
}

/// The part of a product that is computed together: rows × columns by one invocation, 64 × 64 by a workgroup that brings
/// both operands into its memory, 32 × 32 by a workgroup whose subgroups multiply cooperative matrices, up to 4·S × 8·S
/// by a subgroup of S invocations that hand each other what they load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names are what they are called in a table")]
pub enum Tile {
    #[serde(rename = "4x4")]
    T4x4,
    #[serde(rename = "4x8")]
    T4x8,
    #[serde(rename = "8x4")]
    T8x4,
    #[serde(rename = "8x8")]
    T8x8,
    #[serde(rename = "16x16")]
    T16x16,
    #[serde(rename = "64x64")]
    T64x64,
    #[serde(rename = "coop")]
    Cooperative,
    #[serde(rename = "subgroup")]
    Subgroup,
}

impl Tile {
    /// Rows and columns that one invocation computes, also where a product does not fill what several would.
    pub fn alone(self) -> [usize; 2] {
        match self {
            Tile::T4x4 | Tile::Subgroup => [4, 4],
            Tile::T4x8 => [4, 8],
            Tile::T8x4 => [8, 4],
            Tile::T8x8 | Tile::T64x64 | Tile::Cooperative => [8, 8],
            Tile::T16x16 => [16, 16],
        }
    }

    /// Results that one invocation computes, of several the share of each.
    fn share(self) -> usize {
        match self {
            Tile::T4x4 | Tile::Cooperative => 16,
            Tile::T4x8 | Tile::T8x4 => 32,
            Tile::T8x8 | Tile::T64x64 => 64,
            Tile::T16x16 | Tile::Subgroup => 256,
        }
    }
}

/// Who walks along a row or another run of neighbouring elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Walk {
    /// One invocation.
    Alone,
    /// Neighbouring invocations, which read neighbouring elements.
    Together,
}

/// Rows of attention that one invocation computes: each takes up to twice as many registers as a head has channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Queries {
    /// Two.
    #[serde(rename = "2 rows")]
    Two,
    /// Four.
    #[serde(rename = "4 rows")]
    Four,
}

/// A choice by the length of rows or sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByLength<T> {
    /// Rows of fewer than 128 elements, sums of fewer than 1024 terms.
    pub short: T,
    /// Others.
    pub long: T,
}

impl<T: Copy> ByLength<T> {
    fn of(&self, length: usize, long: usize) -> T {
        if length < long { self.short } else { self.long }
    }
}

/// A choice by the width of attention's heads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByWidth<T> {
    /// At most 32 channels.
    pub narrow: T,
    /// Others.
    pub wide: T,
}

/// A choice by the number of a product's results, in all batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BySize<T> {
    /// Fewer than 8 Ki.
    pub small: T,
    /// Fewer than 64 Ki.
    pub medium: T,
    /// Fewer than 1 Mi.
    pub large: T,
    /// Others.
    pub huge: T,
}

/// A section of a kernel table: the variant of every kernel family by shape class. A choice is named by its path, as in
/// `product.large.long`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// Invocations below which a dispatch leaves the device idle: long sums and rows are split to reach them.
    #[serde(deserialize_with = "invocations")]
    pub busy: usize,
    /// Softmax and layer norm, by the length of a row. `Together` needs workgroup memory.
    pub rows: ByLength<Walk>,
    /// Runs of neighbouring elements that are copied or scaled.
    pub runs: Walk,
    /// Attention that stores no scores.
    pub attention: ByWidth<Queries>,
    /// Matrix products, by the number of results and the length of every sum. `T64x64` needs workgroup memory,
    /// `Cooperative` a feature that few devices have, `Subgroup` subgroups of four or eight.
    pub product: BySize<ByLength<Tile>>,
}

/// Reads [`Kernels::busy`].
fn invocations<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let most = 1 << 20;
    let value = toml::Value::deserialize(from)?;
    let count = value.as_integer().filter(|count| (1..=most).contains(count));
    let refusal = || serde::de::Error::custom(format!("{value} is no number of invocations, expected 1 to {most}"));
    count.map(|count| count as usize).ok_or_else(refusal)
}

const TILES: &[&str] = &["4x4", "4x8", "8x4", "8x8", "16x16", "64x64", "coop", "subgroup"];
const WALKS: &[&str] = &["alone", "together"];
const QUERIES: &[&str] = &["2 rows", "4 rows"];

impl Kernels {
    /// Every choice by its name, with what may be chosen, the plainest first; any number where nothing is listed.
    pub const CHOICES: &[(&str, &[&str])] = &[
        ("busy", &[]),
        ("rows.short", WALKS),
        ("rows.long", WALKS),
        ("runs", WALKS),
        ("attention.narrow", QUERIES),
        ("attention.wide", QUERIES),
        ("product.small.short", TILES),
        ("product.small.long", TILES),
        ("product.medium.short", TILES),
        ("product.medium.long", TILES),
        ("product.large.short", TILES),
        ("product.large.long", TILES),
        ("product.huge.short", TILES),
        ("product.huge.long", TILES),
    ];

    /// Every variant with workgroup memory, wherever there is one: what their self-tests run.
    pub const SHARED: Kernels = {
        let tiles = ByLength { short: Tile::T64x64, long: Tile::T64x64 };
        Kernels {
            busy: 1 << 15,
            rows: ByLength { short: Walk::Together, long: Walk::Together },
            runs: Walk::Together,
            attention: ByWidth { narrow: Queries::Two, wide: Queries::Two },
            product: BySize { small: tiles, medium: tiles, large: tiles, huge: tiles },
        }
    };

    /// Cooperative matrices in every product: what their self-test runs. A device opened with a table of these can run
    /// all that any table chooses.
    pub const COOPERATIVE: Kernels = {
        let tiles = ByLength { short: Tile::Cooperative, long: Tile::Cooperative };
        Kernels { product: BySize { small: tiles, medium: tiles, large: tiles, huge: tiles }, ..Self::SHARED }
    };

    /// Subgroups in every product, with wide tiles wherever they fit: what their self-test runs.
    pub const SUBGROUPS: Kernels = {
        let tiles = ByLength { short: Tile::Subgroup, long: Tile::Subgroup };
        Kernels { busy: 1, product: BySize { small: tiles, medium: tiles, large: tiles, huge: tiles }, ..Self::SHARED }
    };

    /// What was chosen, as it stands in a table.
    pub fn chosen(&self, name: &str) -> Result<String> {
        let values = self.values()?;
        let value = name.split('.').try_fold(&values, |value, part| value.get(part));
        Ok(match value.ok_or_else(|| unknown(name))? {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The same choices but for one.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is no such choice or variant.
    pub fn choosing(&self, name: &str, variant: &str) -> Result<Self> {
        let mut values = self.values()?;
        let place = name.split('.').try_fold(&mut values, |value, part| value.get_mut(part));
        *place.ok_or_else(|| unknown(name))? =
            variant.parse().map_or_else(|_| toml::Value::String(variant.to_owned()), toml::Value::Integer);
        values.try_into().map_err(|error: toml::de::Error| Error::Graph(format!("{name}: {}", error.message())))
    }

    fn values(&self) -> Result<toml::Value> {
        toml::Value::try_from(self).map_err(|error| Error::Graph(error.to_string()))
    }
}

fn unknown(name: &str) -> Error {
    Error::Graph(format!("there is no kernel choice `{name}`"))
}

/// What kernel variants are chosen for: a section of a table, and which families of fast variants may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Target {
    /// The choices.
    pub kernels: Kernels,
    /// Whether large products may bring tiles into workgroup memory, where the table says so.
    pub tiled_products: bool,
    /// Whether products may multiply cooperative matrices, where the table says so.
    pub cooperative_products: bool,
    /// Whether the invocations of a subgroup may share the work of a product, where the table says so.
    pub subgroup_products: bool,
    /// Invocations of every subgroup: 4 or 8.
    pub subgroup: usize,
    /// Whether neighbouring invocations may share a row by way of workgroup memory, where the table says so.
    pub shared_rows: bool,
}

/// The families that the choices ask for may be used.
impl From<Kernels> for Target {
    fn from(kernels: Kernels) -> Self {
        let BySize { small, medium, large, huge } = kernels.product;
        let tiles = [small, medium, large, huge].map(|by| [by.short, by.long]);
        let asks = |tile| tiles.as_flattened().contains(&tile);
        Target {
            kernels,
            tiled_products: asks(Tile::T64x64),
            cooperative_products: asks(Tile::Cooperative),
            subgroup_products: asks(Tile::Subgroup),
            subgroup: 8,
            shared_rows: [kernels.rows.short, kernels.rows.long].contains(&Walk::Together),
        }
    }
}

impl Target {
    /// Targets that choose, between them, every variant that a table can name for every shape class.
    pub fn every(self) -> Result<Vec<Target>> {
        let variants = |index: usize| {
            Kernels::CHOICES
                .iter()
                .filter(|(_, variants)| !variants.is_empty())
                .try_fold(self.kernels, |kernels, (name, variants)| {
                    kernels.choosing(name, variants[index % variants.len()])
                })
        };
        (0..TILES.len()).map(|index| variants(index).map(Target::from)).collect()
    }

    /// The same for kernels that touch values in half precision, which cooperative matrices cannot load.
    pub(crate) fn of_halves(self) -> Target {
        Target { cooperative_products: false, ..self }
    }

    /// Invocations below which a dispatch leaves the device idle, so that splitting a long sum pays.
    pub fn busy(self) -> usize {
        self.kernels.busy
    }

    /// The tile of products with so many results, in all batches, each a sum of so many terms.
    pub fn tile(self, results: usize, terms: usize) -> Tile {
        match self.named(results, terms) {
            Tile::T64x64 if !self.tiled_products => Tile::T8x8,
            Tile::Cooperative if !self.cooperative_products => Tile::T8x8,
            Tile::Subgroup if !self.subgroup_products && self.fills(results, terms) => Tile::T16x16,
            Tile::Subgroup if !self.subgroup_products => Tile::T8x8,
            tile => tile,
        }
    }

    /// Parts of the sums of such products that keep the device busy, 1 at least. By the table alone: a device that lacks
    /// what a tile needs adds the same terms in the same order.
    pub fn splits(self, results: usize, terms: usize) -> usize {
        self.turns(results, terms).min(terms / 64).max(1)
    }

    /// Whether such products keep the device busy without a split.
    pub fn fills(self, results: usize, terms: usize) -> bool {
        self.turns(results, terms) == 0
    }

    /// How often the invocations of such products go into those of a busy device.
    fn turns(self, results: usize, terms: usize) -> usize {
        self.busy() / results.div_ceil(self.named(results, terms).share())
    }

    /// What the table says of such products.
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

    /// Invocations that share a row of so many elements by way of workgroup memory.
    pub fn lanes(self, width: usize) -> usize {
        match self.kernels.rows.of(width, 128) {
            Walk::Together if self.shared_rows => 16,
            _ => 1,
        }
    }

    /// Invocations that walk together along a run of so many loads.
    pub fn walkers(self, loads: usize) -> usize {
        match self.kernels.runs {
            Walk::Alone => 1,
            Walk::Together => loads.min(32),
        }
    }

    /// Rows that one invocation of attention computes, where a head has so many channels.
    pub fn attention_rows(self, channels: usize) -> usize {
        let ByWidth { narrow, wide } = self.kernels.attention;
        match if channels > 32 { wide } else { narrow } {
            Queries::Two => 2,
            Queries::Four => 4,
        }
    }
}
