//! Shapes and element types.

use std::fmt;

use crate::error::{Error, Result};

/// Extents of a tensor, outermost first; row-major and always contiguous.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Number of elements (1 for a scalar); saturates on overflow.
    pub fn len(&self) -> usize {
        // An extent of 0 empties the shape, also behind others whose product cannot be counted.
        if self.0.contains(&0) { 0 } else { product(&self.0) }
    }

    /// Whether there are more elements than any device holds: 2^48 of them, or 2^30 where addresses have 32 bits. Extents
    /// of 0 do not count, so that strides and sums of the bytes of other values do not overflow.
    pub(crate) fn is_boundless(&self) -> bool {
        let elements = self.0.iter().map(|&extent| extent.max(1)).fold(1, usize::saturating_mul);
        elements > if cfg!(target_pointer_width = "64") { 1 << 48 } else { 1 << 30 }
    }

    /// Whether an extent is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Row-major element strides.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The shape that both broadcast to (NumPy's rule), if there is one.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let extent = |shape: &Shape, axis: usize| {
            (axis + shape.rank()).checked_sub(rank).map_or(1, |own_axis| shape.0[own_axis])
        };
        (0..rank)
            .map(|axis| match (extent(self, axis), extent(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }

    /// Element strides with which a tensor of this shape is read along every axis of `target`; 0 where it repeats.
    pub fn broadcast_strides(&self, target: &Shape) -> Vec<usize> {
        let own = self.strides();
        let missing = target.rank() - self.rank();
        (0..target.rank())
            .map(|axis| match axis.checked_sub(missing) {
                Some(own_axis) if self.0[own_axis] != 1 => own[own_axis],
                _ => 0,
            })
            .collect()
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Shape(extents.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(extents: Vec<usize>) -> Self {
        Shape(extents)
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Shape(extents.to_vec())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A product of extents; the largest number there is where that is more than can be counted.
pub(crate) fn product(extents: &[usize]) -> usize {
    extents.iter().copied().fold(1, usize::saturating_mul)
}

/// Element type. Both are four bytes wide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// Real values.
    F32,
    /// Labels, boxes, class lists. Values stay below 2^24, so that f32 arithmetic on them is exact.
    I32,
}

impl DType {
    /// The WGSL scalar type.
    pub fn wgsl(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
        }
    }
}

/// The precision in which a device stores real elements. Arithmetic is in 32 bits in either case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Storage {
    /// In 32 bits.
    #[default]
    Whole,
    /// In 16 bits, if all kernels that access the value support it: 11 significant bits, up to 65504.
    Half,
    /// As `Half`, also for a value that is computed only from states: a weight that is multiplied by features in halves.
    HalfWeight,
}

/// Shape and element type of a tensor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Extents.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl TensorType {
    /// A real tensor.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::F32 }
    }

    /// An integer tensor.
    pub fn i32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::I32 }
    }

    /// Refuses a state `name` of this type where a program needs another one.
    pub(crate) fn check_as_state(&self, name: &str, needed: &TensorType) -> Result<()> {
        if self == needed {
            return Ok(());
        }
        Err(Error::Graph(format!("state `{name}` is {self:?}, but the program needs {needed:?}")))
    }

    /// Bytes of a device buffer that holds it: whole `vec4`s, so that kernels may load four elements at a time.
    pub fn bytes(&self) -> u64 {
        (self.shape.len().max(1) as u64).div_ceil(4).saturating_mul(16)
    }
}

impl fmt::Debug for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype.wgsl(), self.shape)
    }
}
