//! A section of a kernel table: the kernel choices, their variants, and their names.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::names;
use crate::error::{Error, Result};

/// The tile of a product that is computed together: rows × columns by one invocation, 64 × 64 by a workgroup that loads
/// both operands into its memory, 32 × 32 by a workgroup whose subgroups multiply cooperative matrices, up to 4·S × 8·S
/// by a subgroup of S invocations that exchange their loads by broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are named as in a table")]
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
    /// Rows and columns that one invocation computes, also for products too small for a larger tile.
    pub fn alone(self) -> [usize; 2] {
        match self {
            Tile::T4x4 | Tile::Subgroup => [4, 4],
            Tile::T4x8 | Tile::T64x64 => [4, 8],
            Tile::T8x4 => [8, 4],
            Tile::T8x8 | Tile::Cooperative => [8, 8],
            Tile::T16x16 => [16, 16],
        }
    }

    /// Results per invocation.
    pub(super) fn share(self) -> usize {
        match self {
            Tile::T4x4 | Tile::Cooperative => 16,
            Tile::T4x8 | Tile::T8x4 => 32,
            Tile::T8x8 | Tile::T64x64 => 64,
            Tile::T16x16 | Tile::Subgroup => 256,
        }
    }
}

/// How a row or another run of neighbouring elements is traversed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Walk {
    /// By one invocation.
    Alone,
    /// By neighbouring invocations, which read neighbouring elements.
    Together,
}

/// Rows of attention that are computed together: by one invocation, which needs up to twice as many registers for each as
/// a head has channels, or by a workgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Queries {
    /// Two.
    #[serde(rename = "2 rows")]
    Two,
    /// Four.
    #[serde(rename = "4 rows")]
    Four,
    /// 32 by a workgroup, 32 columns at a time, if a head has at most 64 channels; else two by an invocation.
    #[serde(rename = "tile")]
    Tile,
}

/// How products of operands that are both stored in half precision are computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
pub enum HalfProduct {
    /// As other products: halves are converted when they are loaded.
    #[default]
    #[serde(rename = "as f32")]
    Converted,
    /// By a workgroup whose subgroups multiply cooperative matrices of halves and add in f32.
    #[serde(rename = "coop")]
    Cooperative,
}

/// How an invocation converts what it loads and stores of a value that is stored in half precision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversion {
    /// By arithmetic on integers, which is exact on every device.
    #[default]
    Integers,
    /// By WGSL's `unpack2x16float` and `pack2x16float`, one instruction for a number on graphics cards. A device may read
    /// the smallest halves as 0, and round to either neighbour.
    Builtin,
}

/// Channels for which an invocation computes a depth-wise convolution, or a gradient of it: it keeps the taps of all of
/// them in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
pub enum Channels {
    /// Four, the elements of the widest load.
    #[default]
    #[serde(rename = "4 channels")]
    Four,
    /// Two.
    #[serde(rename = "2 channels")]
    Two,
}

/// How depth-wise convolution, and its gradient with respect to the image, find the zeros around an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// By a test of every pixel that is loaded.
    #[default]
    Tested,
    /// The same, but outputs that are clear of the border are computed in a loop of their own without tests, four or two
    /// in a turn.
    Apart,
}

/// Registers that an invocation can have. It decides which loops are unrolled, since unrolled ones spill where there are too
/// few.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registers {
    /// About 128 numbers: no loop is unrolled.
    #[default]
    Few,
    /// More, of which a unit then holds fewer invocations: the loop of tiled products is unrolled.
    Medium,
    /// About 256: also those of tiled attention, of the gradient of depth-wise taps and of the rings of PAR.
    Many,
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
    /// One choice for every length.
    const fn all(choice: T) -> Self {
        ByLength { short: choice, long: choice }
    }

    pub(super) fn of(&self, length: usize, long: usize) -> T {
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

impl<T: Copy> BySize<ByLength<T>> {
    /// One choice for every size and length.
    const fn all(choice: T) -> Self {
        let choice = ByLength::all(choice);
        BySize { small: choice, medium: choice, large: choice, huge: choice }
    }
}

/// A section of a kernel table: the variant of every kernel family by shape class. A choice is named by its path, as in
/// `product.large.long`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// Invocations needed to keep the device busy: long sums and rows are split to reach them.
    #[serde(deserialize_with = "invocations")]
    pub busy: usize,
    /// Softmax and layer norm, by the length of a row. `Together` needs workgroup memory.
    pub rows: ByLength<Walk>,
    /// Runs of neighbouring elements that are copied or scaled.
    pub runs: Walk,
    /// Attention that does not store scores. `Tile` needs workgroup memory.
    pub attention: ByWidth<Queries>,
    /// Matrix products, by the number of results and the length of every sum. `T64x64` needs workgroup memory,
    /// `Cooperative` a feature that few devices have, `Subgroup` subgroups of four or eight.
    pub product: BySize<ByLength<Tile>>,
    /// Products of halves. `Cooperative` needs a feature of some cards.
    #[serde(default)]
    pub product_of_halves: HalfProduct,
    /// Conversion of halves. `Builtin` needs a device that converts them as the interpreter does.
    #[serde(default)]
    pub halves: Conversion,
    /// Depth-wise convolution under windows of 5×5. With 3×3 it is always four channels.
    #[serde(default)]
    pub depthwise_5x5: Channels,
    /// The border of depth-wise convolution; for the gradient of its taps, `registers` decides.
    #[serde(default)]
    pub depthwise_border: Border,
    /// Loops that are unrolled: of tiled products, of tiled attention, of the gradient of depth-wise taps and of the rings of
    /// PAR.
    #[serde(default)]
    pub registers: Registers,
}

/// Reads [`Kernels::busy`].
fn invocations<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    struct Count;
    impl Visitor<'_> for Count {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a number of invocations from 1 to {MOST_BUSY}")
        }

        fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<usize, E> {
            let refusal = || E::invalid_value(serde::de::Unexpected::Unsigned(count), &self);
            usize::try_from(count).ok().filter(|count| (1..=MOST_BUSY).contains(count)).ok_or_else(refusal)
        }

        fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<usize, E> {
            match u64::try_from(count) {
                Ok(count) => self.visit_u64(count),
                Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(count), &self)),
            }
        }
    }
    from.deserialize_u64(Count)
}

/// The largest [`Kernels::busy`].
const MOST_BUSY: usize = 1 << 20;

impl Kernels {
    /// Every choice by its name, with the names of its variants, the plainest first; if none are listed, any number is
    /// valid. Both are derived from these types by serde.
    ///
    /// # Errors
    /// [`Error::Graph`] if a field is not a choice: a bug in these types, found by a test.
    pub fn choices() -> Result<Vec<(String, &'static [&'static str])>> {
        names::of::<Kernels>()
    }

    /// The choices of the built-in table for software devices.
    pub const SOFTWARE: Kernels = Kernels {
        busy: 256,
        rows: ByLength::all(Walk::Alone),
        runs: Walk::Alone,
        attention: ByWidth { narrow: Queries::Four, wide: Queries::Four },
        product: BySize::all(Tile::Subgroup),
        product_of_halves: HalfProduct::Converted,
        halves: Conversion::Integers,
        depthwise_5x5: Channels::Four,
        depthwise_border: Border::Tested,
        registers: Registers::Few,
    };

    /// The choices of the built-in table for graphics cards. No card has enough registers for [`Tile::T16x16`].
    pub const GRAPHICS: Kernels = Kernels {
        attention: ByWidth { narrow: Queries::Four, wide: Queries::Tile },
        product: BySize { huge: ByLength::all(Tile::T64x64), ..BySize::all(Tile::T4x4) },
        product_of_halves: HalfProduct::Cooperative,
        ..Self::SHARED
    };

    /// The choices of the built-in table for AMD's cards, which have 256 registers for an invocation.
    pub const AMD: Kernels = Kernels { registers: Registers::Many, ..Self::GRAPHICS };

    /// The choices of the built-in table for NVIDIA's cards.
    pub const NVIDIA: Kernels = Kernels { registers: Registers::Medium, ..Self::GRAPHICS };

    /// All variants with workgroup memory, for their self-test.
    pub const SHARED: Kernels = Kernels {
        busy: 1 << 15,
        rows: ByLength::all(Walk::Together),
        runs: Walk::Together,
        attention: ByWidth { narrow: Queries::Tile, wide: Queries::Tile },
        product: BySize::all(Tile::T64x64),
        product_of_halves: HalfProduct::Converted,
        halves: Conversion::Builtin,
        depthwise_5x5: Channels::Two,
        depthwise_border: Border::Apart,
        registers: Registers::Few,
    };

    /// Cooperative matrices in every product, for their self-tests. A device opened with a table of these can run
    /// the choices of any table.
    pub const COOPERATIVE: Kernels = Kernels {
        product: BySize::all(Tile::Cooperative),
        product_of_halves: HalfProduct::Cooperative,
        halves: Conversion::Integers,
        ..Self::SHARED
    };

    /// Subgroups in every product, with wide tiles where possible, for their self-test.
    pub const SUBGROUPS: Kernels = Kernels { busy: 1, product: BySize::all(Tile::Subgroup), ..Self::SHARED };

    /// The chosen variant, as written in a table.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is no such choice.
    pub fn chosen(&self, name: &str) -> Result<String> {
        let values = self.values()?;
        let value = name.split('.').try_fold(&values, |value, part| value.get(part));
        Ok(match value.ok_or_else(|| unknown(name))? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The same choices except for one.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is no such choice or variant.
    pub fn choosing(&self, name: &str, variant: &str) -> Result<Self> {
        let mut values = self.values()?;
        let place = name.split('.').try_fold(&mut values, |value, part| value.get_mut(part));
        *place.ok_or_else(|| unknown(name))? =
            variant.parse::<i64>().map_or_else(|_| Value::from(variant), Value::from);
        serde_json::from_value(values).map_err(|error| Error::Graph(format!("{name}: {error}")))
    }

    fn values(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::Graph(error.to_string()))
    }
}

fn unknown(name: &str) -> Error {
    Error::Graph(format!("unknown kernel choice `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the names used in files and by users.
    #[test]
    fn choices_have_the_names_of_their_types() {
        let choices = Kernels::choices().unwrap();
        let names: Vec<_> = choices.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..6], ["busy", "rows.short", "rows.long", "runs", "attention.narrow", "attention.wide"]);
        assert_eq!(
            names[13..],
            ["product.huge.long", "product_of_halves", "halves", "depthwise_5x5", "depthwise_border", "registers"]
        );
        let variants = |name: &str| choices.iter().find(|(own, _)| own == name).unwrap().1;
        assert!(variants("busy").is_empty());
        assert_eq!(variants("runs"), ["alone", "together"]);
        assert_eq!(variants("attention.wide"), ["2 rows", "4 rows", "tile"]);
        let tiles = ["4x4", "4x8", "8x4", "8x8", "16x16", "64x64", "coop", "subgroup"];
        assert_eq!(variants("product.large.short"), tiles);
        assert_eq!(variants("product_of_halves"), ["as f32", "coop"]);
        assert_eq!(variants("halves"), ["integers", "builtin"]);
        assert_eq!(variants("depthwise_5x5"), ["4 channels", "2 channels"]);
        assert_eq!(variants("depthwise_border"), ["tested", "apart"]);
        assert_eq!(variants("registers"), ["few", "medium", "many"]);
    }
}
