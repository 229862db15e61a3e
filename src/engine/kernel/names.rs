//! The names of the choices of a section, derived from its types by serde: a deserializer that returns the first
//! variant everywhere and records the path and the variants of every choice.

use std::slice;

use serde::de::value::Error as Refusal;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use crate::error::{Error, Result};

/// A choice by its path, as in `product.large.long`, and the names of its variants; none for a number.
type Choice = (String, &'static [&'static str]);

/// All choices of `T`, in order.
pub(super) fn of<'de, T: Deserialize<'de>>() -> Result<Vec<Choice>> {
    let mut found = Vec::new();
    let asked = T::deserialize(Place { path: String::new(), found: &mut found });
    asked.map(|_| found).map_err(|refusal| Error::Graph(refusal.to_string()))
}

/// The choice, or the group of choices, at a path of a section.
struct Place<'a> {
    path: String,
    found: &'a mut Vec<Choice>,
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::custom(format!("`{}` is neither a choice nor a group of choices", self.path)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_map(Fields { path: self.path, rest: fields.iter(), field: "", found: self.found })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.found.push((self.path, variants));
        visitor.visit_enum(variants[0].into_deserializer())
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.found.push((self.path, &[]));
        visitor.visit_u64(1)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The fields of a group.
struct Fields<'a> {
    path: String,
    rest: slice::Iter<'static, &'static str>,
    field: &'static str,
    found: &'a mut Vec<Choice>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        self.field = field;
        seed.deserialize((*field).into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let dot = if self.path.is_empty() { "" } else { "." };
        seed.deserialize(Place { path: format!("{}{dot}{}", self.path, self.field), found: self.found })
    }
}
