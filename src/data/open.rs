//! Finds out which form a data set has, and opens it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::files::{Pictures, unread};
use crate::data::layouts::layout::{Layout, Sign};
use crate::data::layouts::{coco, csv, cvat, folders, jsonl, label_studio, tagged, voc, yolo};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

/// All known layouts. The error for a folder with none of them names what the first one needs.
const LAYOUTS: [&Layout; 9] = [
    &voc::LAYOUT,
    &coco::LAYOUT,
    &yolo::LAYOUT,
    &label_studio::LAYOUT,
    &cvat::LAYOUT,
    &jsonl::LAYOUT,
    &csv::LAYOUT,
    &tagged::LAYOUT,
    &folders::LAYOUT,
];

/// A data set's folder and the form that it has.
pub(super) struct Form<'a> {
    root: &'a Path,
    layout: &'static Layout,
    /// What it was recognised by.
    sign: Option<String>,
}

impl<'a> Form<'a> {
    /// The form that was asked for or, for [`DataForm::Auto`], the one that the folder has.
    ///
    /// # Errors
    ///
    /// If the folder has two forms at once.
    pub(super) fn find(root: &'a Path, wish: DataForm) -> Result<Self> {
        let signs = || LAYOUTS.into_iter().filter_map(|layout| Some((layout, (layout.sign)(root)?)));
        if wish != DataForm::Auto {
            let wished = LAYOUTS.into_iter().find(|layout| layout.form == wish).unwrap_or(LAYOUTS[0]);
            let sign = (wished.sign)(root).map(|sign| sign.what);
            return Ok(Form { root, layout: wished, sign });
        }
        let mut found: Vec<_> = signs().collect();
        // `labels.json` belongs to the layout of PASCAL VOC, and replaces the tags of all forms that it is made from.
        match &found[..] {
            [(first, _), ..] if first.form == DataForm::Voc => {
                found.retain(|(layout, _)| layout.form != DataForm::Labels)
            }
            _ if found.iter().any(|(layout, _)| layout.form == DataForm::Labels) => {
                found.retain(|(layout, _)| [DataForm::Labels, DataForm::Coco].contains(&layout.form));
            }
            _ => {}
        }
        let clear: Vec<_> = found.iter().filter(|(_, sign)| sign.clear).collect();
        match clear[..] {
            // Files of tags in the layout of PASCAL VOC belong to it.
            [(layout, sign), (other, _)] if layout.form == DataForm::Voc && other.form == DataForm::Csv => {
                Ok(Form { root, layout, sign: Some(sign.what.clone()) })
            }
            [(one, sign), (other, other_sign), ..] => Err(ambiguous(root, [(one, sign), (other, other_sign)])),
            _ => {
                let best = clear.first().copied().or(found.first());
                let (layout, sign) = best.map_or((LAYOUTS[0], None), |(layout, sign)| (*layout, Some(sign)));
                Ok(Form { root, layout, sign: sign.map(|sign| sign.what.clone()) })
            }
        }
    }

    /// Which form it is, if the folder has one.
    pub(super) fn found(&self) -> Option<DataForm> {
        self.sign.as_ref().map(|_| self.layout.form)
    }

    /// Whether there is this split. Programs call `val` by three names.
    pub(super) fn has_split(&self, split: &str) -> bool {
        self.sign.is_some() && (self.layout.has_split)(self.root, split)
    }

    /// The training split: the one given or, for `auto`, VOC's `train_aug` if there is one and `train` otherwise.
    pub(super) fn train_split<'s>(&self, wish: &'s str) -> &'s str {
        match wish {
            "auto" if self.has_split("train_aug") => "train_aug",
            "auto" => "train",
            _ => wish,
        }
    }

    /// Refuses a folder of pictures without any sign of tags, or of none that is read.
    fn check_pictures(&self) -> Result<()> {
        if self.sign.is_some()
            || self.layout.form != LAYOUTS[0].form
            || self.layout.folders.iter().any(|folder| self.root.join(folder).is_dir())
        {
            return Ok(());
        }
        let Ok(pictures) = Pictures::below(self.root) else { return Ok(()) };
        match (pictures.len(), &pictures.unread[..]) {
            (0, []) => Ok(()),
            (0, [first, ..]) => Err(unread(first, pictures.unread.len())),
            (count, _) => {
                let reason = format!("has {count} pictures, but no tags in a form that is known (docs/data.md)");
                let command = format!("`tagseg tag {}`", self.root.display());
                Err(Error::data(self.root, reason, format!("make a folder for each class, or give tags by {command}")))
            }
        }
    }

    /// Opens a split, see [`Dataset::open_reporting`].
    pub(super) fn open(&self, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
        self.check_pictures()?;
        check_folders(self.root, self.layout)?;
        if self.sign.is_none() && self.layout.form != DataForm::Voc {
            let reason = format!("has not the form `{}`", self.layout.form);
            return Err(Error::data(self.root, reason, format!("expected {}", self.layout.description)));
        }
        (self.layout.open)(self.root, split, options, on_fault)
    }
}

/// One line that says what the folder is.
impl fmt::Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is read as {}", self.root.display(), self.layout.name)?;
        self.sign.as_ref().map_or(Ok(()), |sign| write!(f, " ({sign})"))
    }
}

fn ambiguous(root: &Path, two: [(&Layout, &Sign); 2]) -> Error {
    let [one, other] = two.map(|(layout, sign)| format!("{} ({})", layout.name, sign.what));
    let [this, that] = two.map(|(layout, _)| layout.form);
    let remedy = format!("choose with `--set data.form={this}` or `--set data.form={that}`, or remove one");
    Error::data(root, format!("has two forms: {one} and {other}"), remedy)
}

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
        Form::find(root, options.form)?.open(split, options, on_fault)
    }

    /// Whether the data set is a folder for each class, so that every folder in it may become one.
    pub(crate) fn is_of_folders(&self) -> bool {
        Form::find(self.root(), DataForm::Auto).is_ok_and(|form| form.found() == Some(DataForm::Folders))
    }

    /// Whether a data set has this split.
    pub fn has_split(root: &Path, split: &str) -> bool {
        Form::find(root, DataForm::Auto).is_ok_and(|form| form.has_split(split))
    }

    /// The training split: the one given or, for `auto`, VOC's `train_aug` if there is one and
    /// `train` otherwise.
    pub fn train_split<'a>(root: &Path, wish: &'a str) -> &'a str {
        Form::find(root, DataForm::Auto).map_or("train", |form| form.train_split(wish))
    }
}

fn check_folders(root: &Path, layout: &Layout) -> Result<()> {
    let needed = [root.components().collect()].into_iter().chain(layout.folders.iter().map(|folder| root.join(folder)));
    let missing: Option<PathBuf> = needed.into_iter().find(|folder| !folder.is_dir());
    let Some(missing) = missing else { return Ok(()) };
    let known = LAYOUTS.map(|layout| layout.description).join("; or ");
    Err(Error::data(missing, "no such folder", format!("expected a data set in {known}")))
}
