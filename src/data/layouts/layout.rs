//! What a layout is: how to recognise it in a folder, and how to open a split of it.

use std::path::Path;

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::tags::OnFault;
use crate::error::Result;

/// A way in which folders hold data sets.
pub(crate) struct Layout {
    /// Its name and contents, for the error about a folder with no known layout.
    pub(crate) description: &'static str,
    /// The folders that a data set needs.
    pub(crate) folders: &'static [&'static str],
    /// How `labels.json` in the folder names images.
    pub(crate) labels: LabelIds,
    /// Whether a folder has this layout.
    pub(crate) is_here: fn(&Path) -> bool,
    /// Whether a folder of this layout has the named split.
    pub(crate) has_split: fn(&Path, &str) -> bool,
    /// Opens the named split of a folder, see [`Dataset::open_reporting`].
    pub(crate) open: fn(&Path, &str, &DatasetOptions, OnFault) -> Result<Dataset>,
}

/// How `labels.json` names the images of a layout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelIds {
    /// By the ids in the lists of splits.
    Listed,
    /// By paths below the folder, without the ending.
    Paths,
    /// Not at all: tags are in other files, which are not written.
    None,
}
