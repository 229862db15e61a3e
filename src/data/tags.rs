//! Class names and image tags: from `labels.json`, or from the masks of a split.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::data::picture::{Mask, one_line};
use crate::{Error, Result};

/// The mask value of pixels that belong to no class and are not scored (spec 0.1, `IGN`).
pub const VOID: u8 = 255;

/// The largest number of foreground classes: a mask is one byte, 0 is background and 255 is void.
pub const MAX_CLASSES: usize = 254;

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
    /// When the file cannot be read or parsed, or its classes are none, too many, repeated or the background.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let labels: Labels = serde_json::from_str(&text).map_err(|error| {
            let reason = format!("is not a file of labels ({})", one_line(&error));
            Error::data(path, reason, r#"expected {"classes": ["cat", ...], "tags": {"image id": ["cat", ...], ...}}"#)
        })?;
        labels.check(path)?;
        Ok(labels)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let count = self.classes.len();
        if count == 0 || count > MAX_CLASSES {
            let remedy = format!("list 1 to {MAX_CLASSES} foreground classes under `classes`");
            return Err(Error::data(path, format!("lists {count} classes"), remedy));
        }
        for (index, name) in self.classes.iter().enumerate() {
            if name.eq_ignore_ascii_case("background") {
                let remedy = "remove it: mask value 0 is always the background, the first class listed is 1";
                return Err(Error::data(path, format!("lists `{name}` as a class"), remedy));
            }
            if self.classes[..index].contains(name) {
                return Err(Error::data(path, format!("lists class `{name}` twice"), "give each class its own name"));
            }
        }
        Ok(())
    }

    /// The tags of the images `ids` as rows of 0 and 1, `[ids, classes]`; `None` when the file holds class names only.
    /// `path` is the file, for messages.
    ///
    /// # Errors
    ///
    /// When an image has no entry, or a tag is not a class.
    pub fn multi_hot(&self, ids: &[String], path: &Path) -> Result<Option<Vec<f32>>> {
        let Some(tags) = &self.tags else { return Ok(None) };
        let columns: HashMap<&str, usize> = self.classes.iter().map(String::as_str).zip(0..).collect();
        let mut rows = vec![0.0; ids.len() * self.classes.len()];
        for (id, row) in ids.iter().zip(rows.chunks_exact_mut(self.classes.len())) {
            let names = tags.get(id).ok_or_else(|| {
                let remedy = "add it under `tags`, with an empty list if it shows none of the classes";
                Error::data(path, format!("image `{id}` has no tags"), remedy)
            })?;
            for name in names {
                let column = columns.get(name.as_str()).ok_or_else(|| self.unknown_tag(path, id, name))?;
                row[*column] = 1.0;
            }
        }
        Ok(Some(rows))
    }

    fn unknown_tag(&self, path: &Path, id: &str, tag: &str) -> Error {
        let likeness = |class: &&String| strsim::jaro_winkler(&class.to_lowercase(), &tag.to_lowercase());
        let nearest = self.classes.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.map_or("", String::as_str);
        Error::data(
            path,
            format!("image `{id}` has the tag `{tag}`, which is not a class"),
            format!("the nearest class is `{nearest}`: correct the tag, or add it under `classes`"),
        )
    }
}

/// The names "class 1" to "class K", for a data set that names none.
pub fn numbered_classes(count: usize) -> Vec<String> {
    (1..=count).map(|index| format!("class {index}")).collect()
}

/// The foreground classes that a mask shows, as mask values in rising order.
pub fn classes_shown(mask: &Mask) -> Vec<u8> {
    let histogram = mask.histogram();
    (1..VOID).filter(|&value| histogram[usize::from(value)] > 0).collect()
}

/// The first mask value that is neither background, one of `classes` classes, nor void.
pub fn value_outside(mask: &Mask, classes: usize) -> Option<u8> {
    mask.data.iter().copied().find(|&value| usize::from(value) > classes && value != VOID)
}
