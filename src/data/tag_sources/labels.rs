//! `labels.json`, the program's own file of class names and tags.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::data::picture::one_line;
use crate::data::tags::check_classes;
use crate::error::{Error, Result};
use crate::formats::durable::write_atomically;
use crate::formats::text::read_text;

/// The file's name.
pub(crate) const FILE: &str = "labels.json";

/// Names of classes by image id.
pub(crate) type NamedTags = HashMap<String, Vec<String>>;

/// The names of the foreground classes and, if given, the tags of the images.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    /// Foreground classes; the first is mask value 1.
    pub(crate) classes: Vec<String>,
    /// Names of the classes that each image shows, by image id.
    #[serde(default, deserialize_with = "unique")]
    pub(crate) tags: Option<NamedTags>,
    /// Ids of images whose tags a person doubts. Training does not read them.
    #[serde(default)]
    pub(crate) doubtful: BTreeSet<String>,
}

impl Labels {
    /// Reads and checks a `labels.json`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed, or its classes are invalid.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let labels: Labels = serde_json::from_str(&text).map_err(|error| {
            let reason = format!("is not a valid labels file ({})", one_line(&error));
            Error::data(path, reason, r#"expected {"classes": ["cat", ...], "tags": {"image id": ["cat", ...], ...}}"#)
        })?;
        check_classes(&labels.classes, path)?;
        Ok(labels)
    }

    /// Writes the file whole, with a line for each image, sorted by id.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; an old one is then unchanged.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, self.json().as_bytes())
    }

    fn json(&self) -> String {
        let sorted: BTreeMap<_, _> = self.tags.iter().flatten().collect();
        let lines = sorted.into_iter().map(|(id, names)| format!("    {}: {}", json!(id), json!(names)));
        let tags = lines.collect::<Vec<_>>().join(",\n");
        let doubtful = match self.doubtful.is_empty() {
            true => String::new(),
            false => format!(",\n  \"doubtful\": {}", json!(self.doubtful)),
        };
        let classes = json!(self.classes);
        format!("{{\n  \"classes\": {classes},\n  \"tags\": {{\n{tags}\n  }}{doubtful}\n}}\n")
    }
}

/// Tags by id, each of which may occur once.
fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<NamedTags>, D::Error> {
    struct Unique;

    impl<'de> Visitor<'de> for Unique {
        type Value = Option<NamedTags>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tags by image id")
        }

        fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut tags = NamedTags::new();
            while let Some((id, names)) = map.next_entry::<String, Vec<String>>()? {
                match tags.entry(id) {
                    Entry::Occupied(entry) => {
                        return Err(A::Error::custom(format!("image `{}` occurs twice", entry.key())));
                    }
                    Entry::Vacant(entry) => _ = entry.insert(names),
                }
            }
            Ok(Some(tags))
        }
    }

    deserializer.deserialize_any(Unique)
}
