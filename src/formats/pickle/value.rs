//! Values built by a pickle, in one arena, which refer to each other by index.
//!
//! An arena, since a pickle may be deeply nested and may contain cycles: nothing here recurses, not even
//! dropping it.

use crate::formats::element::Element;

/// Index of a value in its [`Pickle`].
pub type Id = u32;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A longer integer, as its little-endian two's complement bytes.
    Long(&'a [u8]),
    /// A float.
    Float(f64),
    /// Text.
    Str(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Bytes as written by protocol 2: a string in which each character stands for the byte of its code.
    LatinBytes(&'a str),
    /// A tuple, or a `torch.Size`.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dictionary or `OrderedDict`: keys and values in the order of their insertion.
    Dict(Vec<(Id, Id)>),
    /// A name that is allowed in state dicts and arrays. It selects what to build and is never called.
    Marker(Marker),
    /// A range of numbers in another part of the file.
    Storage(Storage),
    /// A view of a storage.
    Tensor(TensorView),
    /// Element type of an array.
    Dtype(Dtype<'a>),
    /// An array of NumPy.
    Array(Array),
}

/// The allowed global names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch.Size`.
    Size,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.FloatStorage` and similar.
    Storage(Element),
    /// `_codecs.encode`, which turns text into bytes.
    LatinBytes,
    /// `numpy.core.multiarray._reconstruct`.
    NewArray,
    /// `numpy.ndarray`.
    ArrayClass,
    /// `numpy.dtype`.
    Dtype,
}

impl Marker {
    /// The marker of a global name, if it is allowed.
    pub fn of(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("_codecs", "encode") => Some(Self::LatinBytes),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::NewArray),
            ("numpy", "ndarray") => Some(Self::ArrayClass),
            ("numpy", "dtype") => Some(Self::Dtype),
            ("torch" | "torch.cuda", class) => Element::of_storage(class).map(Self::Storage),
            _ => None,
        }
    }
}

/// A reference to a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its name, a [`Value::Str`].
    pub key: Id,
    /// Type of its elements.
    pub element: Element,
    /// Offset into the stored data, in elements: legacy files may contain views of storages.
    pub first: u64,
    /// Number of elements.
    pub length: u64,
}

/// A reference to a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorView {
    /// A [`Value::Storage`].
    pub storage: Id,
    /// Offset of its first element in the storage.
    pub offset: u64,
    /// Extents, a [`Value::Tuple`].
    pub shape: Id,
    /// Strides, a [`Value::Tuple`].
    pub strides: Id,
}

/// Element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype<'a> {
    /// NumPy's code without the byte order: `f4`, `O8`.
    pub code: &'a str,
    /// The byte order: `<`, `>`, or `|` if not applicable.
    pub order: char,
}

/// An array of numbers or objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// Extents, a [`Value::Tuple`].
    pub shape: Id,
    /// A [`Value::Dtype`].
    pub dtype: Id,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// [`Value::Bytes`] or [`Value::LatinBytes`] of numbers, a [`Value::List`] of objects.
    pub content: Id,
}

/// All values of a pickle and which of them is the result.
#[derive(Debug, Default)]
pub struct Pickle<'a> {
    pub(crate) values: Vec<Value<'a>>,
    pub(crate) root: Id,
}

impl<'a> Pickle<'a> {
    /// The value at `id`.
    pub fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id as usize).unwrap_or(&Value::None)
    }

    /// The result.
    pub fn root(&self) -> &Value<'a> {
        self.get(self.root)
    }

    /// All values that were built, including those that the result does not refer to.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The text at `id`, if it is one.
    pub fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer at `id`, if it is one and not negative.
    pub fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Value::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The members of the list or tuple at `id`, if it is one.
    pub fn members(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(members) | Value::List(members) => Some(members),
            _ => None,
        }
    }
}
