//! Real numbers in files that are written here: in 4, 2 or 1 bytes.

use std::borrow::Cow;

use half::f16;
use safetensors::Dtype;

use super::quantised::{SCALE, quantised};
use crate::error::{Error, Result};

/// Storage of real numbers in files that are written here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reals {
    /// 4 bytes.
    #[default]
    Whole,
    /// 2 bytes, rounded to the nearest f16.
    Half,
    /// 1 byte, and a scale for each row (index of the first axis); tensors of fewer than two axes take 4 bytes.
    Byte,
}

/// An entry of a file that is written here.
pub struct Entry<'v> {
    /// Name of the tensor, or of its scales.
    pub name: Cow<'v, str>,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Extents, outermost first.
    pub shape: Cow<'v, [usize]>,
    /// Little-endian.
    pub bytes: Cow<'v, [u8]>,
}

impl Reals {
    /// The entries that hold a tensor.
    ///
    /// # Errors
    /// [`Error::Config`] if one of its values is too large for this storage, or not finite where that cannot be stored.
    pub fn entries<'v>(self, name: &'v str, shape: &'v [usize], values: &'v [f32]) -> Result<Vec<Entry<'v>>> {
        let entry = |dtype, bytes| Entry { name: name.into(), dtype, shape: shape.into(), bytes };
        match self {
            Reals::Half => {
                let halves: Vec<_> = values.iter().map(|&value| f16::from_f32(value)).collect();
                if halves.iter().zip(values).any(|(half, value)| value.is_finite() && !half.is_finite()) {
                    let reason = format!("`{name}` has values beyond {}, the largest of half precision", f16::MAX);
                    return Err(Error::config("--half", reason, "omit it"));
                }
                Ok(vec![entry(Dtype::F16, halves.into_iter().flat_map(f16::to_le_bytes).collect())])
            }
            Reals::Byte if shape.len() > 1 => {
                let (integers, scales) = quantised(shape[0], values).ok_or_else(|| {
                    Error::config("--int8", format!("`{name}` has values that are not finite"), "omit it")
                })?;
                let scales = Entry {
                    name: format!("{name}{SCALE}").into(),
                    dtype: Dtype::F32,
                    shape: vec![scales.len()].into(),
                    bytes: scales.into_iter().flat_map(f32::to_le_bytes).collect(),
                };
                Ok(vec![entry(Dtype::I8, integers.into_iter().flat_map(i8::to_le_bytes).collect()), scales])
            }
            Reals::Whole | Reals::Byte => Ok(vec![entry(Dtype::F32, Cow::Borrowed(bytemuck::cast_slice(values)))]),
        }
    }
}
