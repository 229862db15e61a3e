//! JSON lines as data sets on hubs have them: an object with `file_name` and tags for each image.
//!
//! ```text
//! metadata.jsonl | train.jsonl | train/metadata.jsonl     {"file_name": "a.jpg", "tags": ["cat", "dog"]}
//! classes.txt | README.md | dataset_info.json             names of classes, if tags are numbers
//! ```
//!
//! Tags are a name, a list of names, or numbers of names; of objects, they are the categories.

use std::path::Path;

use serde_json::Value;

use super::layout::Layout;
use super::listing::{self, Entry, Listing, Named};
use super::lists::Kind;
use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;
use crate::formats::yaml::{numbered_names, parse_yaml};

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Jsonl,
    name: "JSON lines",
    description: "JSON lines: metadata.jsonl with file_name and tags",
    folders: &[],
    sign: |root| KIND.sign(root),
    has_split: |root, split| KIND.has_split(root, split),
    open,
};

const KIND: Kind = Kind {
    name: "JSON lines",
    endings: &["jsonl", "ndjson"],
    names: &["metadata", "labels", "annotations"],
    looks_right: |_| true,
    clear: false,
};

/// Keys of the image, and of the tags, in the order in which they are searched.
const IMAGE: [&str; 7] = ["file_name", "filename", "image", "file", "path", "image_path", "image_file_name"];
const TAGS: [&str; 10] =
    ["tags", "tag", "labels", "label", "classes", "class", "categories", "category", "class_label", "objects"];

/// The tags of a line: names, or numbers of names.
enum Tag {
    Name(String),
    Number(usize),
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let file = KIND.find(root, split)?;
    let text = read_text(&file)?;
    let (mut entries, mut names, mut whole) = (Vec::new(), None, None);
    let fault = |number: usize, reason: &str| {
        let reason = format!("line {number} {reason}");
        Error::data(&file, reason, r#"write lines of {"file_name": "a.jpg", "tags": ["cat"]}"#)
    };
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let object = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(fault(number, "is not an object")),
            Err(error) => return Err(fault(number, &format!("is not JSON ({})", one_line(&error)))),
        };
        let image = IMAGE.iter().find_map(|key| object.get(*key)).and_then(|image| match image {
            Value::Object(parts) => parts.get("path").and_then(Value::as_str),
            image => image.as_str(),
        });
        let Some(image) = image else {
            on_fault(fault(number, "has no `file_name`"))?;
            continue;
        };
        let Some(value) = TAGS.iter().find_map(|key| object.get(*key)) else {
            on_fault(fault(number, "has no `tags` or `label`"))?;
            continue;
        };
        let mut tags = Vec::new();
        if let Some(text) = value.as_str().filter(|text| text.contains([',', ';', '|'])) {
            whole.get_or_insert_with(|| text.to_owned());
        }
        match read_tags(value) {
            Err(reason) => on_fault(fault(number, &reason))?,
            Ok(read) => {
                for tag in read {
                    match tag {
                        Tag::Name(name) => tags.push(name),
                        Tag::Number(tag) => {
                            if names.is_none() {
                                names = Some(find_names(root, file.parent().unwrap_or(root), &file)?);
                            }
                            match names.iter().flatten().nth(tag) {
                                Some(name) => tags.push(name.clone()),
                                None => {
                                    let count = names.iter().flatten().count();
                                    on_fault(fault(number, &format!("has the class {tag}, but {count} are named")))?;
                                }
                            }
                        }
                    }
                }
            }
        }
        entries.push(Entry { image: Named::Text(image.to_owned()), tags, place: format!("line {number}") });
    }
    let base = file.parent().unwrap_or(root).to_owned();
    let notice = |text: String| format!("a text is one tag, such as `{}`; give a list for several", one_line(&text));
    let notices = whole.map(notice).into_iter().collect();
    let listing = Listing { file: file.clone(), base, classes: names, entries, notices };
    listing::open(root, split, listing, options, on_fault)
}

/// The tags in a value: a name or number, a list of them, or objects with a category each.
fn read_tags(value: &Value) -> std::result::Result<Vec<Tag>, String> {
    const CATEGORY: [&str; 6] = ["category", "categories", "label", "labels", "name", "class"];
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(name) if name.trim().is_empty() => Ok(Vec::new()),
        Value::String(name) => Ok(vec![Tag::Name(name.clone())]),
        Value::Number(number) => match number.as_u64() {
            Some(number) => Ok(vec![Tag::Number(number as usize)]),
            None => Err(format!("has the class {number}, which is neither a name nor a number from 0 on")),
        },
        Value::Array(values) => {
            let nested = values.iter().map(read_tags).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(nested.into_iter().flatten().collect())
        }
        Value::Object(object) => match CATEGORY.iter().find_map(|key| object.get(*key)) {
            Some(value @ (Value::String(_) | Value::Number(_) | Value::Array(_))) => read_tags(value),
            _ => Err("has tags that are an object without `category`".into()),
        },
        Value::Bool(_) => Err("has tags that are neither names nor numbers".into()),
    }
}

/// The names of numbered classes, from the files in which data sets have them.
fn find_names(root: &Path, base: &Path, list: &Path) -> Result<Vec<String>> {
    for folder in [base, root] {
        for file in ["classes.txt", "names.txt", "labels.txt"] {
            let path = folder.join(file);
            if path.is_file() {
                return Ok(read_text(&path)?
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect());
            }
        }
        for file in ["dataset_info.json", "dataset_infos.json", "README.md"] {
            let path = folder.join(file);
            if !path.is_file() {
                continue;
            }
            let text = read_text(&path)?;
            let facts = match text.strip_prefix("---") {
                Some(rest) => parse_yaml(rest.split("\n---").next().unwrap_or_default(), &path)?,
                None if file.ends_with(".json") => serde_json::from_str(&text).unwrap_or_default(),
                None => Value::Null,
            };
            if let Some(names) = class_label(&facts, 0) {
                return Ok(names);
            }
        }
    }
    let reason = "has tags that are numbers, but no file names the classes";
    Err(Error::data(list, reason, "write classes.txt beside it, with one name per line, 0 first"))
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
