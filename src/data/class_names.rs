//! Names of numbered classes, from the files in which data sets have them, and tags that are such numbers.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;
use crate::formats::yaml::{numbered_names, parse_yaml};

/// Files with a name per line, the first of which is number 0.
const LISTS: [&str; 4] = ["classes.txt", "names.txt", "labels.txt", "obj.names"];

/// Descriptions of data sets, as hubs have them.
const DESCRIPTIONS: [&str; 3] = ["dataset_info.json", "dataset_infos.json", "README.md"];

/// The names of the classes, and the file that has them.
pub(crate) struct ClassNames {
    file: PathBuf,
    pub(crate) names: Vec<String>,
}

impl ClassNames {
    /// The names in the first of these folders that has a file of names.
    ///
    /// # Errors
    ///
    /// If such a file cannot be read.
    pub(crate) fn find(folders: &[&Path]) -> Result<Option<Self>> {
        for folder in folders {
            for file in LISTS.map(|name| folder.join(name)) {
                if file.is_file() {
                    return Ok(Some(ClassNames { names: lines(&file)?, file }));
                }
            }
            for file in DESCRIPTIONS.map(|name| folder.join(name)) {
                if !file.is_file() {
                    continue;
                }
                let text = read_text(&file)?;
                let facts = match text.strip_prefix("---") {
                    Some(rest) => parse_yaml(rest.split("\n---").next().unwrap_or_default(), &file)?,
                    None if file.extension().is_some_and(|ending| ending == "json") => {
                        serde_json::from_str(&text).unwrap_or_default()
                    }
                    None => Value::Null,
                };
                if let Some(names) = class_label(&facts, 0) {
                    return Ok(Some(ClassNames { file, names }));
                }
            }
        }
        Ok(None)
    }

    /// The name of a number; an error says how many there are.
    pub(crate) fn name(&self, number: usize) -> std::result::Result<&str, String> {
        let (count, file) = (self.names.len(), self.file.file_name().unwrap_or_default().display());
        let missing = || format!("has the class {number}, but {file} names {count}, the first of which is 0");
        self.names.get(number).map(String::as_str).ok_or_else(missing)
    }
}

/// The lines of a file of names.
///
/// # Errors
///
/// If it cannot be read, or has a blank line between names, which would give the names behind it other numbers.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    match names.iter().position(String::is_empty) {
        Some(index) if names.len() > 1 => {
            let reason = format!("line {} is blank, but each line is the name of a class", index + 1);
            Err(Error::data(path, reason, "remove the line, or write a name there"))
        }
        _ => Ok(names.into_iter().filter(|name| !name.is_empty()).collect()),
    }
}

/// Tags that are numbers.
pub(crate) struct Numbered {
    pub(crate) notice: String,
    /// All classes, in their order, if a file names them.
    pub(crate) classes: Option<Vec<String>>,
}

/// Replaces tags by their names if all of them are numbers and a file in one of these folders names the classes. A row
/// has its place in the file `list`, for messages, and its tags.
///
/// # Errors
///
/// If a number has no name; that is passed to `on_fault`.
pub(crate) fn name_numbers(
    mut rows: Vec<(String, &mut Vec<String>)>,
    list: &Path,
    folders: &[&Path],
    on_fault: OnFault,
) -> Result<Option<Numbered>> {
    let tags = || rows.iter().flat_map(|(_, tags)| tags.iter());
    if tags().next().is_none() || !tags().all(|tag| number(tag).is_some()) {
        return Ok(None);
    }
    let Some(classes) = ClassNames::find(folders)? else {
        let notice = "tags are numbers; classes.txt with a name per line, 0 first, would name them".to_owned();
        return Ok(Some(Numbered { notice, classes: None }));
    };
    if tags().all(|tag| classes.names.contains(tag)) {
        return Ok(None);
    }
    for (place, tags) in &mut rows {
        let mut named = Vec::with_capacity(tags.len());
        for tag in tags.iter().filter_map(|tag| number(tag)) {
            match classes.name(tag) {
                Ok(name) => named.push(name.to_owned()),
                Err(reason) => {
                    on_fault(Error::data(list, format!("{place} {reason}"), "correct the class, or add its name"))?;
                }
            }
        }
        **tags = named;
    }
    let notice = format!("tags are numbers, which {} names", classes.file.file_name().unwrap_or_default().display());
    Ok(Some(Numbered { notice, classes: Some(classes.names) }))
}

/// A tag as a number; programs that know real numbers alone write `1.0`.
fn number(tag: &str) -> Option<usize> {
    let whole = tag.strip_suffix(".0").unwrap_or(tag);
    whole.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok()).flatten()
}

/// The names of the first feature of classes in the description of a data set.
fn class_label(facts: &Value, depth: usize) -> Option<Vec<String>> {
    let inside = |value: &Value| (depth < 16).then(|| class_label(value, depth + 1)).flatten();
    match facts {
        Value::Object(parts) => {
            let is_label = parts.get("_type").is_some_and(|kind| kind == "ClassLabel");
            let label = parts.get("class_label").and_then(|label| label.get("names"));
            let names = label.or_else(|| parts.get("names").filter(|_| is_label));
            names.and_then(numbered_names).or_else(|| parts.values().find_map(inside))
        }
        Value::Array(parts) => parts.iter().find_map(inside),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: names of classes as the hub stores them, in YAML and in JSON.
    #[test]
    fn names_of_features_are_found() {
        let json = serde_json::json!({"features": {"image": {"_type": "Image"}, "label": {"names": ["b", "a"], "_type": "ClassLabel"}}});
        assert_eq!(class_label(&json, 0).unwrap(), ["b", "a"]);
        let yaml = "dataset_info:\n  features:\n  - name: objects\n    sequence:\n    - name: category\n      dtype:\n        class_label:\n          names:\n            '0': dog\n            '1': cat\n";
        assert_eq!(class_label(&parse_yaml(yaml, Path::new("README.md")).unwrap(), 0).unwrap(), ["dog", "cat"]);
    }
}
