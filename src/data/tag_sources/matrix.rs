//! `<split>.npy` beside the lists: a matrix with a row for each line of the list.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::columns::{names_for, one_hot};
use super::source::{Found, Wanted};
use crate::data::tags::{OnFault, Tags};
use crate::error::{Error, Result};
use crate::formats::npy::Npy;

/// The tags, if the file exists; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, _: OnFault) -> Result<Option<Found>> {
    let file = format!("{}/{}.npy", wanted.list_folder, wanted.images.split);
    let Some(path) = wanted.at(&file) else { return Ok(None) };
    let present: HashSet<&String> = wanted.images.ids.iter().collect();
    let keep: Vec<bool> = wanted.listed.iter().map(|id| present.contains(id)).collect();
    let mut tags = rows(&path, wanted.listed.len(), wanted.classes.as_deref())?;
    tags.retain(&keep);
    Ok(Some(wanted.found(tags, &path)))
}

/// Tags from a matrix with a row for each of the `listed` ids of a list.
fn rows(path: &Path, listed: usize, classes: Option<&[String]>) -> Result<Tags> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let (columns, numbers) = Npy::parse(&bytes).and_then(|file| file.matrix()).map_err(|fault| fault.at(path))?;
    let classes = names_for(columns, classes, path)?;
    if numbers.len() != listed * columns {
        let reason = format!("has {} rows, but its list has {listed} ids", numbers.len() / columns);
        return Err(Error::data(path, reason, "give one row for each line of the list"));
    }
    Ok(Tags { classes, rows: numbers.iter().map(one_hot).collect() })
}
