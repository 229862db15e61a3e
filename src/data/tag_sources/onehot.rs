//! `cls_labels_onehot.npy`: a pickled dictionary from ids to vectors, beside the images or the lists.

use std::fs;
use std::path::Path;

use super::columns::{names_for, one_hot};
use super::source::{Found, Wanted};
use crate::data::tags::{OnFault, Tags, untagged};
use crate::error::{Error, Result};
use crate::formats::npy::Npy;

const FILE: &str = "cls_labels_onehot.npy";

/// The tags, if the file exists; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let beside_lists = || wanted.at(&format!("{}/{FILE}", wanted.list_folder));
    let Some(path) = wanted.at(FILE).or_else(beside_lists) else { return Ok(None) };
    let tags = vectors(&path, &wanted.images.ids, wanted.classes.as_deref(), on_fault)?;
    Ok(Some(wanted.found(tags, &path)))
}

/// Tags from the file, which may hold more ids than `ids`.
fn vectors(path: &Path, ids: &[String], classes: Option<&[String]>, on_fault: OnFault) -> Result<Tags> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let vectors = Npy::parse(&bytes).and_then(|file| file.vectors()).map_err(|fault| fault.at(path))?;
    let columns = vectors.values().next().map_or(0, Vec::len);
    let classes = names_for(columns, classes, path)?;
    let mut rows = Vec::with_capacity(ids.len() * columns);
    for id in ids {
        match vectors.get(id.as_str()) {
            Some(vector) => rows.extend(vector.iter().map(one_hot)),
            None => {
                on_fault(untagged(path, id))?;
                rows.resize(rows.len() + columns, 0.0);
            }
        }
    }
    Ok(Tags { classes, rows })
}
