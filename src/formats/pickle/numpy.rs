//! Arrays as NumPy pickles them: made empty, then given a state of five members.

use super::value::{Id, Pickle, Value};
use crate::formats::element::Element;

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype<'a> {
    /// NumPy's code without the byte order: `f4`, `O8`.
    pub code: &'a str,
    /// The byte order: `<`, `>`, `|` where there is none.
    pub order: char,
}

/// An array of numbers or objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Array {
    /// Extents, a [`Value::Tuple`].
    pub shape: Id,
    /// A [`Value::Dtype`].
    pub dtype: Id,
    /// Whether the first axis runs fastest.
    pub fortran_order: bool,
    /// [`Value::Bytes`] or [`Value::LatinBytes`] of numbers, a [`Value::List`] of objects.
    pub content: Id,
}

impl<'a> Dtype<'a> {
    /// What kind of number it is, if it is one in little-endian order.
    pub fn element(self) -> Option<Element> {
        Element::of_numpy(self.code).filter(|element| self.order == '<' || element.size() == 1)
    }

    /// The dtype with the state `(version, byte order, …)`.
    pub(crate) fn with_state(self, pickle: &Pickle<'a>, state: &[Id]) -> Option<Self> {
        let mut order = pickle.text(*state.get(1)?)?.chars();
        Some(Dtype { order: order.next().filter(|_| order.as_str().is_empty())?, ..self })
    }
}

impl Array {
    /// The array of the state `(version, shape, dtype, fortran order, content)`.
    pub(crate) fn of_state(pickle: &Pickle<'_>, state: &[Id]) -> Option<Self> {
        let [_version, shape, dtype, order, content] = *state else { return None };
        let Value::Bool(fortran_order) = *pickle.get(order) else { return None };
        Some(Array { shape, dtype, fortran_order, content })
    }
}
