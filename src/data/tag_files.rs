//! The files that tags may stand in. Which of them counts is decided in `tag_source`.
//!
//! | File | Content |
//! |---|---|
//! | `labels.json` | `{"classes": [name, …], "tags": {id: [name, …], …}}`; with `classes` alone it only names them |
//! | `cls_labels_onehot.npy` | a pickled dictionary from ids to vectors of K numbers (spec 8.1) |
//! | `<split>.npy` | a matrix of K columns, a row for each line of `<split>.txt` |
//! | `labels.csv` | lines of `id,name name …` |
//! | `Annotations/<id>.xml` | the objects of an image, as PASCAL VOC describes them |

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::data::picture::one_line;
use crate::data::tags::{
    MAX_CLASSES, OnFault, Tags, VOC_CLASSES, check_classes, numbered_classes, untagged, voc_classes,
};
use crate::error::{Error, Result};
use crate::formats::npy::Npy;

/// `labels.json`: the names of the foreground classes and, if given, the tags of the images.
#[derive(Debug, Deserialize)]
pub struct Labels {
    /// Foreground classes; the first is mask value 1.
    pub classes: Vec<String>,
    /// Names of the classes that each image shows, by image id.
    pub tags: Option<HashMap<String, Vec<String>>>,
}

impl Labels {
    /// Reads and checks a `labels.json`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or parsed, or its classes cannot be used.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let labels: Labels = serde_json::from_str(&text).map_err(|error| {
            let reason = format!("is not a file of labels ({})", one_line(&error));
            Error::data(path, reason, r#"expected {"classes": ["cat", ...], "tags": {"image id": ["cat", ...], ...}}"#)
        })?;
        check_classes(&labels.classes, path)?;
        Ok(labels)
    }
}

/// Tags from a `cls_labels_onehot.npy`, which may hold more ids than `ids`.
///
/// # Errors
///
/// When the file cannot be used; an id that it lacks may be gone on from.
pub fn read_onehot(path: &Path, ids: &[String], classes: Option<&[String]>, on_fault: OnFault) -> Result<Tags> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let vectors = Npy::parse(&bytes).and_then(|file| file.vectors()).map_err(|fault| fault.at(path))?;
    let columns = vectors.values().next().map_or(0, Vec::len);
    let classes = names_for(columns, classes, path)?;
    let mut rows = Vec::with_capacity(ids.len() * columns);
    for id in ids {
        match vectors.get(id.as_str()) {
            Some(vector) => rows.extend(vector.iter().map(one_hot)),
            None => {
                on_fault(untagged(path, id))?;
                rows.resize(rows.len() + columns, 0.0);
            }
        }
    }
    Ok(Tags { classes, rows })
}

/// Tags from a matrix with a row for each of the `listed` ids of a list.
///
/// # Errors
///
/// When the file cannot be used, or has another number of rows.
pub fn read_matrix(path: &Path, listed: usize, classes: Option<&[String]>) -> Result<Tags> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let (columns, numbers) = Npy::parse(&bytes).and_then(|file| file.matrix()).map_err(|fault| fault.at(path))?;
    let classes = names_for(columns, classes, path)?;
    if numbers.len() != listed * columns {
        let reason = format!("has {} rows, its list has {listed} ids", numbers.len() / columns);
        return Err(Error::data(path, reason, "give one row for each line of the list"));
    }
    Ok(Tags { classes, rows: numbers.iter().map(one_hot).collect() })
}

fn one_hot(number: &f32) -> f32 {
    f32::from(u8::from(*number > 0.0))
}

/// Names for the columns of label vectors: those that are known, else PASCAL VOC's for 20 of them, else numbers.
fn names_for(columns: usize, classes: Option<&[String]>, path: &Path) -> Result<Vec<String>> {
    if columns == 0 || columns > MAX_CLASSES {
        return Err(Error::data(path, format!("has {columns} columns"), format!("give 1 to {MAX_CLASSES} classes")));
    }
    match classes {
        Some(classes) if classes.len() != columns => {
            let reason = format!("has {columns} columns, there are {} classes", classes.len());
            Err(Error::data(path, reason, "give one column for each class"))
        }
        Some(classes) => Ok(classes.to_vec()),
        None if columns == VOC_CLASSES.len() => Ok(voc_classes()),
        None => Ok(numbered_classes(columns)),
    }
}

/// Tags by name from a `labels.csv`. A first line that begins with `id,` is a heading.
///
/// # Errors
///
/// When the file cannot be read, or a line has no comma.
pub fn read_csv(path: &Path) -> Result<HashMap<String, Vec<String>>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let mut tags = HashMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let unquoted = |field: &str| field.trim().trim_matches('"').to_owned();
        match line.split_once(',') {
            Some((id, _)) if number == 1 && unquoted(id) == "id" => {}
            Some((id, names)) => {
                _ = tags.insert(unquoted(id), unquoted(names).split_whitespace().map(str::to_owned).collect())
            }
            None if line.trim().is_empty() => {}
            None => {
                return Err(Error::data(path, format!("line {number} has no comma"), "write lines of `id,tag tag`"));
            }
        }
    }
    Ok(tags)
}

/// The names of the objects in a PASCAL VOC annotation; not those of their parts.
///
/// # Errors
///
/// When the file cannot be read or is no such XML.
pub fn read_annotation(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let foreign = |reason: String| Error::data(path, reason, "give PASCAL VOC's <annotation><object><name> files");
    let document =
        roxmltree::Document::parse(&text).map_err(|error| foreign(format!("is no XML ({})", one_line(&error))))?;
    let root = document.root_element();
    if !root.has_tag_name("annotation") {
        return Err(foreign(format!("describes a `{}`, not an image", root.tag_name().name())));
    }
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    let name = |object: roxmltree::Node| {
        object
            .children()
            .find(|node| node.has_tag_name("name"))
            .and_then(|name| name.text().map(|text| text.trim().to_owned()))
    };
    objects.map(|object| name(object).ok_or_else(|| foreign("has an object without a name".into()))).collect()
}

/// Class names for tags that stand without a list of classes: all that occur, sorted, as PASCAL VOC's own are.
pub fn names_in<'n>(names: impl Iterator<Item = &'n Vec<String>>) -> Vec<String> {
    names.flatten().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}
