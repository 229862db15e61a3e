//! Host values for inputs.

/// Host values for an input: a slice, array or `Vec` of `f32`, `f64`, `i32` or `u8`, by reference. They are converted
/// to the input's element type.
pub enum Values<'a> {
    /// Real values as stored on a device.
    F32(&'a [f32]),
    /// Real values as stored by the interpreter.
    F64(&'a [f64]),
    /// Integers.
    I32(&'a [i32]),
    /// Bytes, four in each integer of the input, the lowest bits first; the last four are padded with 0.
    U8(&'a [u8]),
}

macro_rules! values_from {
    ($($variant:ident $ty:ty),*) => {$(
        impl<'a> From<&'a [$ty]> for Values<'a> {
            fn from(values: &'a [$ty]) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$ty>> for Values<'a> {
            fn from(values: &'a Vec<$ty>) -> Self {
                Values::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$ty; N]> for Values<'a> {
            fn from(values: &'a [$ty; N]) -> Self {
                Values::$variant(values)
            }
        }
    )*};
}
values_from!(F32 f32, F64 f64, I32 i32, U8 u8);

impl Values<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I32(values) => values.len(),
            Values::U8(bytes) => bytes.len().div_ceil(4),
        }
    }

    /// The first value that is not a 32-bit integer.
    pub(crate) fn no_integer(&self) -> Option<f64> {
        let whole = |value: f64| value.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value);
        match self {
            Values::F32(values) => values.iter().map(|&value| f64::from(value)).find(|&value| !whole(value)),
            Values::F64(values) => values.iter().copied().find(|&value| !whole(value)),
            Values::I32(_) | Values::U8(_) => None,
        }
    }

    pub(crate) fn to_f64(&self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::F64(values) => values.to_vec(),
            Values::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::U8(bytes) => words(bytes).map(f64::from).collect(),
        }
    }
}

/// The integers that consist of these bytes, four each.
fn words(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.chunks(4).map(|four| {
        let mut word = [0; 4];
        word[..four.len()].copy_from_slice(four);
        i32::from_le_bytes(word)
    })
}
