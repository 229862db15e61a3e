//! `labels.csv`: lines of an id and its tags.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::source::{Found, Wanted};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

const FILE: &str = "labels.csv";

/// The tags, if the file is there; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let Some(path) = wanted.at(FILE) else { return Ok(None) };
    let tags = wanted.by_name(&lines(&path)?, &path, on_fault)?;
    Ok(Some(wanted.found(tags, &path)))
}

/// Names by id. A first line that begins with `id,` is a heading.
///
/// # Errors
///
/// When the file cannot be read, or a line has no comma.
fn lines(path: &Path) -> Result<HashMap<String, Vec<String>>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let mut tags = HashMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let unquoted = |field: &str| field.trim().trim_matches('"').to_owned();
        match line.split_once(',') {
            Some((id, _)) if number == 1 && unquoted(id) == "id" => {}
            Some((id, names)) => {
                _ = tags.insert(unquoted(id), unquoted(names).split_whitespace().map(str::to_owned).collect())
            }
            None if line.trim().is_empty() => {}
            None => {
                return Err(Error::data(path, format!("line {number} has no comma"), "write lines of `id,tag tag`"));
            }
        }
    }
    Ok(tags)
}
