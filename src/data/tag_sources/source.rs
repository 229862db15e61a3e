//! The input and output of a source of tags.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::data::images::Images;
use crate::data::tags::{OnFault, Tags, check_classes};
use crate::error::Result;

/// Reads the tags of all images if its file exists.
///
/// An error means that the file is invalid; errors of a single image's tags are passed to [`OnFault`].
pub(crate) type Source = fn(&Wanted, OnFault) -> Result<Option<Found>>;

/// The images whose tags are wanted.
#[derive(Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) images: &'a Images,
    /// The split's list, including missing images.
    pub(crate) listed: &'a [String],
    /// The folder of the lists, below the data set's.
    pub(crate) list_folder: &'static str,
    /// The id that a text means, of an image of the data set in any split.
    pub(crate) id_of: &'a dyn Fn(&str) -> Option<String>,
    /// Names of the classes, if they are known.
    pub(crate) classes: Option<Vec<String>>,
}

/// Tags of all images.
pub(crate) struct Found {
    pub(crate) tags: Tags,
    /// A notice of where they come from, if that is not `labels.json`.
    pub(crate) notice: Option<String>,
}

impl Wanted<'_> {
    /// The named file or folder of the data set, if it exists.
    pub(crate) fn at(&self, name: &str) -> Option<PathBuf> {
        Some(self.images.root.join(name)).filter(|path| path.exists())
    }

    /// Tags that were found in a file.
    pub(super) fn found(&self, tags: Tags, path: &Path) -> Found {
        let place = path.strip_prefix(&self.images.root).unwrap_or(path).display();
        Found { tags, notice: Some(format!("tags are read from {place}")) }
    }

    /// Tags from the names that the file at `path` has for each id. Without known classes, all names that occur are
    /// classes, sorted, as in PASCAL VOC.
    pub(crate) fn by_name(&self, tags: &HashMap<String, Vec<String>>, path: &Path, on_fault: OnFault) -> Result<Tags> {
        let occurring = || tags.values().flatten().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let classes = self.classes.clone().unwrap_or_else(occurring);
        check_classes(&classes, path)?;
        Tags::by_name(classes, &self.images.ids, path, tags, on_fault)
    }
}
