//! Where the tags of a split in PASCAL VOC layout come from: the first of these that exists.
//!
//! | Place | Class names |
//! |---|---|
//! | `labels.json` with `tags` | in it |
//! | `cls_labels_onehot.npy`, also beside the lists | PASCAL VOC's for 20 columns, else numbers |
//! | `<split>.npy` beside `<split>.txt` | as above |
//! | `labels.csv` | all tags in it, sorted |
//! | the masks, if every image has one | numbers |
//! | `Annotations/<id>.xml` | all names in the split, sorted |
//!
//! A `labels.json` with `classes` alone names the classes for all of them; else those of a trained model do.

use crate::data::dataset::DatasetOptions;
use crate::data::images::Images;
use crate::data::tag_sources::labels::{self, Labels};
use crate::data::tag_sources::source::{Source, Wanted};
use crate::data::tag_sources::{annotations, csv, masks, matrix, onehot};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

pub(super) use crate::data::tag_sources::source::Found;

/// The sources after `labels.json`, in this order; the masks are last.
const SOURCES: [Source; 4] = [onehot::read, matrix::read, csv::read, annotations::read];

/// Reads the tags of all `images`. `listed` is the split's list, including missing images, and `list_folder`
/// its folder below the data set's folder; `id_of` finds the id that a text means, in any split.
///
/// # Errors
///
/// If a file is invalid; errors of a single image's tags are passed to `on_fault`.
pub(super) fn read_tags(
    images: &Images,
    listed: &[String],
    list_folder: &'static str,
    id_of: &dyn Fn(&str) -> Option<String>,
    options: &DatasetOptions,
    on_fault: OnFault,
) -> Result<Found> {
    let mut wanted = Wanted { images, listed, list_folder, id_of, classes: options.classes.clone() };
    if let Some(path) = wanted.at(labels::FILE) {
        let Labels { classes, tags, .. } = Labels::read(&path)?;
        if let Some(expected) = wanted.classes.filter(|expected| expected.len() != classes.len()) {
            let reason = format!("lists {} classes, but {} are expected", classes.len(), expected.len());
            return Err(Error::data(path, reason, "use the class list that the model was trained with"));
        }
        wanted.classes = Some(classes);
        if let Some(tags) = tags {
            return Ok(Found { tags: wanted.by_name(&tags, &path, on_fault)?, notice: None });
        }
    }
    for source in SOURCES {
        if let Some(found) = source(&wanted, on_fault)? {
            return Ok(found);
        }
    }
    masks::derive(&wanted, on_fault)
}
