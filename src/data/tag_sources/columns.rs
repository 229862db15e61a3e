//! Files in which each class has a column of numbers.

use std::path::Path;

use crate::data::tags::{MAX_CLASSES, VOC_CLASSES, numbered_classes, voc_classes};
use crate::error::{Error, Result};

/// 1 for a number above 0, else 0.
pub(super) fn one_hot(number: &f32) -> f32 {
    f32::from(u8::from(*number > 0.0))
}

/// Names for the columns of label vectors: the known classes, else PASCAL VOC's for 20 columns, else numbers.
pub(super) fn names_for(columns: usize, classes: Option<&[String]>, path: &Path) -> Result<Vec<String>> {
    if columns == 0 || columns > MAX_CLASSES {
        return Err(Error::data(path, format!("has {columns} columns"), format!("give 1 to {MAX_CLASSES} classes")));
    }
    match classes {
        Some(classes) if classes.len() != columns => {
            let reason = format!("has {columns} columns, but there are {} classes", classes.len());
            Err(Error::data(path, reason, "give one column for each class"))
        }
        Some(classes) => Ok(classes.to_vec()),
        None if columns == VOC_CLASSES.len() => Ok(voc_classes()),
        None if columns == VOC_CLASSES.len() + 1 => {
            let remedy = "remove the column of the background, or name 21 classes in labels.json";
            Err(Error::data(path, format!("has {columns} columns, but PASCAL VOC has 20 classes"), remedy))
        }
        None => Ok(numbered_classes(columns)),
    }
}
