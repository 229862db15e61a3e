//! Class names and image tags, independent of their source.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::data::picture::Mask;
use crate::error::{Error, Result};

/// The mask value of pixels that belong to no class and are not scored (method.md 0.1, `IGN`).
pub const VOID: u8 = 255;

/// The largest number of foreground classes: a mask is one byte, 0 is background and 255 is void.
pub const MAX_CLASSES: usize = 254;

/// The classes of PASCAL VOC, in the order of mask values and label vectors (method.md 8.1).
pub const VOC_CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// Handles an error of a single file: training stops (`&mut Err`), a report continues.
pub type OnFault<'a> = &'a mut dyn FnMut(Error) -> Result<()>;

/// Class names, and a row of 0 and 1 for every image.
#[derive(Clone, Debug, PartialEq)]
pub struct Tags {
    /// Names of the K foreground classes; mask value 1 is the first.
    pub classes: Vec<String>,
    /// `[images, K]`.
    pub rows: Vec<f32>,
}

impl Tags {
    /// Tags from the names in `tags` for each of `ids`. `path` is their file, for messages.
    ///
    /// # Errors
    ///
    /// If an image has no entry, or a tag is not a class; these are passed to `on_fault`.
    pub fn by_name(
        classes: Vec<String>,
        ids: &[String],
        path: &Path,
        tags: &HashMap<String, Vec<String>>,
        on_fault: OnFault,
    ) -> Result<Self> {
        let columns: HashMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
        let mut rows = vec![0.0; ids.len() * classes.len()];
        for (id, row) in ids.iter().zip(rows.chunks_exact_mut(classes.len())) {
            let Some(names) = tags.get(id) else {
                on_fault(untagged(path, id))?;
                continue;
            };
            for name in names {
                match columns.get(name.as_str()) {
                    Some(column) => row[*column] = 1.0,
                    None => on_fault(unknown_tag(path, id, name, &classes))?,
                }
            }
        }
        Ok(Tags { classes, rows })
    }

    /// Tags from the mask values that each image shows, 1 to K.
    pub fn of_values<V: IntoIterator<Item = u8>>(classes: Vec<String>, images: impl IntoIterator<Item = V>) -> Self {
        let mut rows = Vec::new();
        for values in images {
            let first = rows.len();
            rows.resize(first + classes.len(), 0.0);
            values.into_iter().for_each(|value| rows[first + usize::from(value) - 1] = 1.0);
        }
        Tags { classes, rows }
    }

    /// The row of image `index`.
    ///
    /// # Panics
    ///
    /// If the image does not exist.
    pub fn row(&self, index: usize) -> &[f32] {
        let count = self.classes.len();
        &self.rows[index * count..][..count]
    }

    /// Keeps the rows of those images that `keep` marks.
    pub fn retain(&mut self, keep: &[bool]) {
        let kept = keep.iter().enumerate().filter(|(_, keep)| **keep);
        self.rows = kept.flat_map(|(index, _)| self.row(index)).copied().collect();
    }
}

/// The error for an image that a file of tags does not mention.
pub fn untagged(path: &Path, id: &str) -> Error {
    let remedy = "add its tags, or an empty list if it shows none of the classes";
    Error::data(path, format!("image `{id}` has no tags"), remedy)
}

fn unknown_tag(path: &Path, id: &str, tag: &str, classes: &[String]) -> Error {
    let likeness = |class: &&String| strsim::jaro_winkler(&class.to_lowercase(), &tag.to_lowercase());
    let nearest = classes.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.map_or("", String::as_str);
    Error::data(
        path,
        format!("image `{id}` has the tag `{tag}`, which is not a class"),
        format!("the most similar class is `{nearest}`: correct the tag, or add it under `classes`"),
    )
}

/// A name with every accent as part of its letter (NFC), so that names which look alike are equal. macOS stores names of
/// files with accents apart.
pub(crate) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Checks a list of class names. `path` is its file.
///
/// # Errors
///
/// If there are none or too many, one is repeated (in any capitalisation or form of its accents) or blank, or one is the
/// background.
pub fn check_classes(classes: &[String], path: &Path) -> Result<()> {
    let count = classes.len();
    if count == 0 || count > MAX_CLASSES {
        let remedy = format!("list 1 to {MAX_CLASSES} foreground classes under `classes`");
        return Err(Error::data(path, format!("lists {count} classes"), remedy));
    }
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for name in classes {
        if name.eq_ignore_ascii_case("background") {
            let remedy = "remove it: mask value 0 is always the background, the first class listed is 1";
            return Err(Error::data(path, format!("lists `{name}` as a class"), remedy));
        }
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            let reason = format!("lists the class {name:?}");
            return Err(Error::data(path, reason, "give a name without line breaks, and without spaces around it"));
        }
        match seen.insert(composed(&name.to_lowercase()), name) {
            Some(other) if other == name => {
                return Err(Error::data(path, format!("lists class `{name}` twice"), "give each class its own name"));
            }
            Some(other) if composed(other) == composed(name) => {
                let reason = format!("has the classes {other:?} and {name:?}, whose accents are stored in two ways");
                return Err(Error::data(path, reason, "write them alike, both in Unicode's normal form NFC"));
            }
            Some(other) => {
                let reason = format!("has the classes `{other}` and `{name}`, which differ in capitalisation only");
                return Err(Error::data(path, reason, "write them alike if they are one class, else rename one"));
            }
            None => {}
        }
    }
    Ok(())
}

/// The names "class 1" to "class K", for a data set without names.
pub fn numbered_classes(count: usize) -> Vec<String> {
    (1..=count).map(|index| format!("class {index}")).collect()
}

/// The names of PASCAL VOC's classes.
pub fn voc_classes() -> Vec<String> {
    VOC_CLASSES.map(String::from).to_vec()
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
