//! Opening a data set: the layout that its folder has is the first of a list that recognises it.

use std::path::{Path, PathBuf};

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::layouts::layout::Layout;
use crate::data::layouts::{coco, voc};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

/// Every layout that is known. A folder without any is reported as one that lacks what the first needs.
const LAYOUTS: [&Layout; 2] = [&voc::LAYOUT, &coco::LAYOUT];

impl Dataset {
    /// Opens a split: reads its list and tags, and checks that its images exist.
    ///
    /// # Errors
    ///
    /// When a folder, the split, an image or a tag is missing, a tag is not a class, or the split is empty. Where tags
    /// have to be derived from masks also when a mask is missing or cannot be used.
    pub fn open(root: &Path, split: &str, options: &DatasetOptions) -> Result<Self> {
        Self::open_reporting(root, split, options, &mut Err)
    }

    /// Opens a split like [`open`](Self::open), and hands what is wrong with single images to `on_fault`. If that goes
    /// on, an image that is missing is left out, and one whose tags cannot be read has none.
    ///
    /// # Errors
    ///
    /// Those of `on_fault`, and what is wrong with the split as a whole.
    pub fn open_reporting(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Self> {
        let layout = layout_of(root).unwrap_or(LAYOUTS[0]);
        check_folders(root, layout)?;
        (layout.open)(root, split, options, on_fault)
    }

    /// Whether a data set has this split.
    pub fn has_split(root: &Path, split: &str) -> bool {
        layout_of(root).is_some_and(|layout| (layout.has_split)(root, split))
    }

    /// The split to learn from: the one that is wished for, or, for `auto`, VOC's `train_aug` where there is one and
    /// `train` elsewhere.
    pub fn train_split<'a>(root: &Path, wish: &'a str) -> &'a str {
        match wish {
            "auto" if Self::has_split(root, "train_aug") => "train_aug",
            "auto" => "train",
            _ => wish,
        }
    }
}

/// The layout that the folder has.
fn layout_of(root: &Path) -> Option<&'static Layout> {
    LAYOUTS.into_iter().find(|layout| (layout.is_here)(root))
}

fn check_folders(root: &Path, layout: &Layout) -> Result<()> {
    let needed = [root.components().collect()].into_iter().chain(layout.folders.iter().map(|folder| root.join(folder)));
    let missing: Option<PathBuf> = needed.into_iter().find(|folder| !folder.is_dir());
    let Some(missing) = missing else { return Ok(()) };
    let known = LAYOUTS.map(|layout| layout.description).join("; or ");
    Err(Error::data(missing, "no such folder", format!("expected a data set in {known}")))
}
