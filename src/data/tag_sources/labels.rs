//! `labels.json`, the program's own file of class names and tags.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::data::picture::one_line;
use crate::data::tags::check_classes;
use crate::error::{Error, Result};

/// The file's name.
pub(crate) const FILE: &str = "labels.json";

/// The names of the foreground classes and, if given, the tags of the images.
#[derive(Debug, Deserialize)]
pub(crate) struct Labels {
    /// Foreground classes; the first is mask value 1.
    pub(crate) classes: Vec<String>,
    /// Names of the classes that each image shows, by image id.
    pub(crate) tags: Option<HashMap<String, Vec<String>>>,
}

impl Labels {
    /// Reads and checks a `labels.json`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed, or its classes are invalid.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let labels: Labels = serde_json::from_str(&text).map_err(|error| {
            let reason = format!("is not a valid labels file ({})", one_line(&error));
            Error::data(path, reason, r#"expected {"classes": ["cat", ...], "tags": {"image id": ["cat", ...], ...}}"#)
        })?;
        check_classes(&labels.classes, path)?;
        Ok(labels)
    }
}
