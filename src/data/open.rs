//! Opens data sets with the first layout in a list that recognises the folder.

use std::path::{Path, PathBuf};

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::layouts::layout::Layout;
use crate::data::layouts::{coco, folders, tagged, voc};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

/// All known layouts. The error for a folder with none of them names what the first one needs.
const LAYOUTS: [&Layout; 4] = [&voc::LAYOUT, &coco::LAYOUT, &tagged::LAYOUT, &folders::LAYOUT];

impl Dataset {
    /// Opens a split: reads its list and tags, and checks that its images exist.
    ///
    /// # Errors
    ///
    /// If a folder, the split, an image or a tag is missing, a tag is not a class, or the split is empty. If tags
    /// have to be derived from masks, also if a mask is missing or invalid.
    pub fn open(root: &Path, split: &str, options: &DatasetOptions) -> Result<Self> {
        Self::open_reporting(root, split, options, &mut Err)
    }

    /// Opens a split like [`open`](Self::open), and passes errors of single images to `on_fault`. If that returns
    /// `Ok`, missing images are skipped, and images whose tags cannot be read have none.
    ///
    /// # Errors
    ///
    /// Those of `on_fault`, and errors of the split as a whole.
    pub fn open_reporting(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Self> {
        let layout = layout_of(root).unwrap_or(LAYOUTS[0]);
        check_folders(root, layout)?;
        (layout.open)(root, split, options, on_fault)
    }

    /// Whether a data set has this split.
    pub fn has_split(root: &Path, split: &str) -> bool {
        layout_of(root).is_some_and(|layout| (layout.has_split)(root, split))
    }

    /// The training split: the one given or, for `auto`, VOC's `train_aug` if there is one and
    /// `train` otherwise.
    pub fn train_split<'a>(root: &Path, wish: &'a str) -> &'a str {
        match wish {
            "auto" if Self::has_split(root, "train_aug") => "train_aug",
            "auto" => "train",
            _ => wish,
        }
    }
}

/// The layout that the folder has.
pub(super) fn layout_of(root: &Path) -> Option<&'static Layout> {
    LAYOUTS.into_iter().find(|layout| (layout.is_here)(root))
}

fn check_folders(root: &Path, layout: &Layout) -> Result<()> {
    let needed = [root.components().collect()].into_iter().chain(layout.folders.iter().map(|folder| root.join(folder)));
    let missing: Option<PathBuf> = needed.into_iter().find(|folder| !folder.is_dir());
    let Some(missing) = missing else { return Ok(()) };
    let known = LAYOUTS.map(|layout| layout.description).join("; or ");
    Err(Error::data(missing, "no such folder", format!("expected a data set in {known}")))
}
