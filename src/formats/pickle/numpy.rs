//! NumPy arrays in a pickle: created empty, then given a state of five members.

use super::value::{Array, Dtype, Id, Pickle, Value};
use crate::formats::element::Element;

impl<'a> Dtype<'a> {
    /// The element type, if it is a little-endian number.
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
