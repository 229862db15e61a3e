//! Element types of foreign files, and the decoding of their bytes.

use half::{bf16, f16};
use safetensors::Dtype;

/// Type of the elements of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// Elements of a tensor. Reals are converted to f32, all others to i64.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Weights and statistics.
    Reals(Vec<f32>),
    /// Counters and indices, which no supported network has.
    Integers(Vec<i64>),
}

impl Element {
    /// Every type with its name in tables, in PyTorch's storages, in safetensors, and in NumPy.
    const ALL: [(Self, &'static str, &'static str, Dtype, &'static str); 10] = [
        (Self::F64, "f64", "DoubleStorage", Dtype::F64, "f8"),
        (Self::F32, "f32", "FloatStorage", Dtype::F32, "f4"),
        (Self::F16, "f16", "HalfStorage", Dtype::F16, "f2"),
        (Self::BF16, "bf16", "BFloat16Storage", Dtype::BF16, ""),
        (Self::I64, "i64", "LongStorage", Dtype::I64, "i8"),
        (Self::I32, "i32", "IntStorage", Dtype::I32, "i4"),
        (Self::I16, "i16", "ShortStorage", Dtype::I16, "i2"),
        (Self::I8, "i8", "CharStorage", Dtype::I8, "i1"),
        (Self::U8, "u8", "ByteStorage", Dtype::U8, "u1"),
        (Self::Bool, "bool", "BoolStorage", Dtype::BOOL, "b1"),
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// The type behind a PyTorch storage class, as in `FloatStorage`.
    pub fn of_storage(class: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == class).map(|row| row.0)
    }

    /// The type of a safetensors entry.
    pub fn of_safetensors(dtype: Dtype) -> Option<Self> {
        Self::ALL.iter().find(|row| row.3 == dtype).map(|row| row.0)
    }

    /// The type behind NumPy's code for it, as in `f4`.
    pub fn of_numpy(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.4 == code && !code.is_empty()).map(|row| row.0)
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Bytes of one element after [`Element::decode`].
    pub fn decoded_size(self) -> usize {
        match self {
            Self::F64 | Self::F32 | Self::F16 | Self::BF16 => size_of::<f32>(),
            _ => size_of::<i64>(),
        }
    }

    /// The numbers in little-endian `bytes`; an incomplete last element is ignored. f64 is rounded to the nearest f32.
    pub fn decode(self, bytes: &[u8]) -> Values {
        match self {
            Self::F64 => Values::Reals(each(bytes, |word| f64::from_le_bytes(word) as f32)),
            Self::F32 => Values::Reals(each(bytes, f32::from_le_bytes)),
            Self::F16 => Values::Reals(each(bytes, |word| f16::from_le_bytes(word).to_f32())),
            Self::BF16 => Values::Reals(each(bytes, |word| bf16::from_le_bytes(word).to_f32())),
            Self::I64 => Values::Integers(each(bytes, i64::from_le_bytes)),
            Self::I32 => Values::Integers(each(bytes, |word| i32::from_le_bytes(word).into())),
            Self::I16 => Values::Integers(each(bytes, |word| i16::from_le_bytes(word).into())),
            Self::I8 => Values::Integers(each(bytes, |word| i8::from_le_bytes(word).into())),
            Self::U8 | Self::Bool => Values::Integers(each(bytes, |word| u8::from_le_bytes(word).into())),
        }
    }
}

/// Decodes words of N bytes.
fn each<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|word| decode(*word)).collect()
}
