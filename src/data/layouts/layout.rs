//! What a layout is: how to recognise it in a folder, and how to open a split of it.

use std::path::Path;

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::tags::OnFault;
use crate::error::Result;

/// A way in which folders hold data sets.
pub(crate) struct Layout {
    /// The value of `data.form`.
    pub(crate) form: DataForm,
    /// Its name in sentences.
    pub(crate) name: &'static str,
    /// Its name and contents, for the error about a folder with no known layout.
    pub(crate) description: &'static str,
    /// The folders that a data set needs.
    pub(crate) folders: &'static [&'static str],
    /// What in a folder shows that it has this layout.
    pub(crate) sign: fn(&Path) -> Option<Sign>,
    /// Whether a folder of this layout has the named split.
    pub(crate) has_split: fn(&Path, &str) -> bool,
    /// Opens the named split of a folder, see [`Dataset::open_reporting`].
    pub(crate) open: fn(&Path, &str, &DatasetOptions, OnFault) -> Result<Dataset>,
}

/// What shows that a folder has a layout.
pub(crate) struct Sign {
    /// A file or folders, for messages.
    pub(crate) what: String,
    /// Whether it shows that clearly: two clear signs are refused, and a clear one is preferred to others.
    pub(crate) clear: bool,
}

impl Sign {
    /// A sign that is clear.
    pub(crate) fn clear(what: impl Into<String>) -> Self {
        Sign { what: what.into(), clear: true }
    }
}
