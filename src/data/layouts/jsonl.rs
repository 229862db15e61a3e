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
use crate::data::class_names::{ClassNames, name_numbers};
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

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
    let base = file.parent().unwrap_or(root).to_owned();
    let folders = [base.as_path(), root];
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
                            let names = match &mut names {
                                Some(names) => names,
                                none => none.insert(names_of(&file, &folders)?),
                            };
                            match names.name(tag) {
                                Ok(name) => tags.push(name.to_owned()),
                                Err(reason) => on_fault(fault(number, &reason))?,
                            }
                        }
                    }
                }
            }
        }
        entries.push(Entry { image: Named::Text(image.to_owned()), tags, place: format!("line {number}") });
    }
    let notice = |text: String| format!("a text is one tag, such as `{}`; give a list for several", one_line(&text));
    let mut notices: Vec<String> = whole.map(notice).into_iter().collect();
    let mut classes = names.map(|names| names.names);
    if classes.is_none() {
        // Numbers as texts.
        let rows = entries.iter_mut().map(|entry: &mut Entry| (entry.place.clone(), &mut entry.tags)).collect();
        if let Some(numbered) = name_numbers(rows, &file, &folders, on_fault)? {
            notices.push(numbered.notice);
            classes = numbered.classes;
        }
    }
    let listing = Listing { file: file.clone(), base, classes, entries, notices };
    listing::open(root, split, listing, options, on_fault)
}

/// The names of the numbers in a file of lines.
fn names_of(file: &Path, folders: &[&Path]) -> Result<ClassNames> {
    let reason = "has tags that are numbers, but no file names the classes";
    let remedy = "write classes.txt beside it, with one name per line, 0 first";
    ClassNames::find(folders)?.ok_or_else(|| Error::data(file, reason, remedy))
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
