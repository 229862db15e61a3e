//! YAML files of other programs, as JSON values.

use std::path::Path;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use super::text::read_text;
use crate::error::{Error, Result};

/// Lists and maps may lie within each other this deep.
const DEEPEST: usize = 64;

/// Reads the first document of a YAML file.
///
/// # Errors
/// If the file cannot be read or is not YAML.
pub(crate) fn read_yaml(path: &Path) -> Result<Value> {
    parse_yaml(&read_text(path)?, path)
}

/// The first document of a YAML text; `path` is its file, for messages.
///
/// # Errors
/// If the text is not YAML.
pub(crate) fn parse_yaml(text: &str, path: &Path) -> Result<Value> {
    let remedy = "correct it, or write its names in quotes";
    let broken = |reason: String| Error::data(path, format!("is not YAML ({reason})"), remedy);
    let documents = Yaml::load_from_str(text).map_err(|error| {
        let place = error.marker();
        broken(format!("line {}: {}", place.line(), error.info()))
    })?;
    let Some(document) = documents.first() else { return Ok(Value::Null) };
    value(document, 0).ok_or_else(|| broken("it has a value that is neither text, number, list nor map".into()))
}

fn value(node: &Yaml, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    Some(match node {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(*value),
            Scalar::Integer(number) => Value::from(*number),
            Scalar::FloatingPoint(number) => Value::from(number.into_inner()),
            Scalar::String(text) => Value::from(text.as_ref()),
        },
        Yaml::Sequence(items) => Value::Array(items.iter().map(|item| value(item, depth + 1)).collect::<Option<_>>()?),
        Yaml::Mapping(entries) => {
            let entry = |(key, item): (&Yaml, &Yaml)| Some((text(&value(key, depth + 1)?)?, value(item, depth + 1)?));
            Value::Object(entries.iter().map(entry).collect::<Option<Map<_, _>>>()?)
        }
        Yaml::Tagged(_, node) => value(node, depth + 1)?,
        _ => return None,
    })
}

/// A text or number as text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Names in the order of their numbers: a list of names, or a map from 0, 1, … to names. `None` if it is neither.
pub(crate) fn numbered_names(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(names) => names.iter().map(text).collect(),
        Value::Object(names) => {
            let mut numbered: Vec<(usize, String)> =
                names.iter().map(|(key, name)| Some((key.trim().parse().ok()?, text(name)?))).collect::<Option<_>>()?;
            numbered.sort();
            let in_order = numbered.iter().enumerate().all(|(place, (number, _))| place == *number);
            in_order.then(|| numbered.into_iter().map(|(_, name)| name).collect())
        }
        _ => None,
    }
}
