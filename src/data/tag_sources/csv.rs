//! `labels.csv`: lines of an id and its tags.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use csv::{Position, ReaderBuilder};

use super::source::{Found, Wanted};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};

const FILE: &str = "labels.csv";

/// The tags, if the file exists; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let Some(path) = wanted.at(FILE) else { return Ok(None) };
    let tags = wanted.by_name(&lines(&path)?, &path, on_fault)?;
    Ok(Some(wanted.found(tags, &path)))
}

/// Names by id. A first line that begins with `id,` is a header. Fields are quoted according to RFC 4180.
fn lines(path: &Path) -> Result<HashMap<String, Vec<String>>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut tags = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            Error::data(path, format!("is not a CSV file ({})", one_line(&error)), "write lines of `id,tag tag`")
        })?;
        let line = record.position().map_or(0, Position::line);
        let fields: Vec<&str> = record.iter().map(unquoted).collect();
        match fields[..] {
            [""] => {}
            ["id", _] if line == 1 => {}
            [id, names] => _ = tags.insert(id.to_owned(), names.split_whitespace().map(str::to_owned).collect()),
            [_] => return Err(Error::data(path, format!("line {line} has no comma"), "write lines of `id,tag tag`")),
            _ => {
                let reason = format!("line {line} has {} fields", fields.len());
                return Err(Error::data(path, reason, "write lines of `id,tag tag`, with tags separated by spaces"));
            }
        }
    }
    Ok(tags)
}

/// A field without surrounding white space, and without quotes after such white space, which RFC 4180 takes literally.
fn unquoted(field: &str) -> &str {
    field.trim().trim_matches('"')
}
