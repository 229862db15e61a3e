//! `labels.csv`: rows of an id and its tags, as RFC 4180 defines them.
//!
//! Fields are separated by commas, or by semicolons, tabs or vertical bars if the ids of the images are found so. In
//! rows of two fields, tags are separated by white space or by another of these characters; otherwise every field is
//! one tag, and so is a quoted field. The rows of an id are united.

use std::collections::HashMap;
use std::path::Path;

use csv::{Position, ReaderBuilder};

use super::source::{Found, Wanted};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

const FILE: &str = "labels.csv";
const REMEDY: &str = "write lines of `id,tag tag`";

/// Separators of fields and of tags, the most common one first.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// The tags, if the file exists; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let Some(path) = wanted.at(FILE) else { return Ok(None) };
    let mut table = Table::read(&path, wanted)?;
    let heading = table.take_heading(wanted);
    table.check_columns(&path, heading.as_deref())?;
    let inner = table.inner();
    let mut tags: HashMap<String, Vec<String>> = HashMap::new();
    let mut whole = None;
    for Row { line, fields } in &table.rows {
        let [id, names @ ..] = &fields[..] else { continue };
        let Some(id) = (wanted.id_of)(&id.text) else {
            let reason = format!("line {line} has the id `{}`, but the data set has no such image", one_line(&id.text));
            on_fault(Error::data(&path, reason, "correct the id, or remove the line"))?;
            continue;
        };
        let tags = tags.entry(id).or_default();
        for field in names {
            if field.quoted && could_be_several(&field.text) {
                whole = whole.or(Some(&field.text));
            }
            tags.extend(inner.split(field, wanted.classes.as_deref()));
        }
    }
    let mut found = wanted.found(wanted.by_name(&tags, &path, on_fault)?, &path);
    if let Some(notice) = &mut found.notice {
        notice.push_str(&format!(": fields are separated by {}, tags by {}", described(table.separator), inner.name()));
        if let Some(heading) = heading {
            notice.push_str(&format!("; line 1 is a heading (`{}`)", one_line(&heading.join(","))));
        }
        if let Some(field) = whole {
            notice.push_str(&format!("; quoted fields are one tag (`{field}`)"));
        }
    }
    Ok(Some(found))
}

/// The rows of a file.
struct Table {
    separator: char,
    rows: Vec<Row>,
}

struct Row {
    line: u64,
    fields: Vec<Field>,
}

/// A field without surrounding white space.
struct Field {
    text: String,
    quoted: bool,
}

/// What separates the tags in a field that is not quoted.
#[derive(Clone, Copy)]
enum Inner {
    /// Nothing: every field, which this character ends, is one tag.
    Fields(char),
    Character(char),
    WhiteSpace,
}

impl Table {
    /// Reads the file with the separator that finds most ids of images.
    fn read(path: &Path, wanted: &Wanted) -> Result<Self> {
        let text = read_text(path)?;
        let mut best: Option<(usize, Table)> = None;
        for separator in SEPARATORS.into_iter().filter(|separator| *separator == ',' || text.contains(*separator)) {
            let table = Table::parse(path, &text, separator)?;
            let known = |row: &&Row| row.fields.len() > 1 && (wanted.id_of)(&row.fields[0].text).is_some();
            let count = table.rows.iter().filter(known).count();
            if best.as_ref().is_none_or(|(most, _)| count > *most) {
                let all = count == table.rows.len();
                best = Some((count, table));
                if all {
                    break;
                }
            }
        }
        let table = best.map_or(Table { separator: ',', rows: Vec::new() }, |(_, table)| table);
        match table.rows.iter().find(|row| row.fields.len() < 2) {
            Some(Row { line, .. }) => {
                let name = described(table.separator);
                Err(Error::data(path, format!("line {line} has one field: {name} is missing"), REMEDY))
            }
            None => Ok(table),
        }
    }

    /// Reads the text with a separator; blank lines are skipped.
    fn parse(path: &Path, text: &str, separator: char) -> Result<Self> {
        let marked = marked(text, separator).map_err(|line| {
            Error::data(path, format!("the quote in line {line} is not closed"), "close it, or double it within quotes")
        })?;
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator as u8);
        let mut rows = Vec::new();
        for record in builder.from_reader(marked.as_bytes()).records() {
            let record = record
                .map_err(|error| Error::data(path, format!("is not a CSV file ({})", one_line(&error)), REMEDY))?;
            let line = record.position().map_or(0, Position::line);
            let fields: Vec<Field> = record.iter().map(Field::of).collect();
            if fields.iter().any(|field| !field.text.is_empty()) {
                rows.push(Row { line, fields });
            }
        }
        Ok(Table { separator, rows })
    }

    /// Removes and returns the first row if it is a heading: its id is no image.
    fn take_heading(&mut self, wanted: &Wanted) -> Option<Vec<String>> {
        let first = self.rows.first()?;
        if (wanted.id_of)(&first.fields[0].text).is_some() {
            return None;
        }
        Some(self.rows.remove(0).fields.into_iter().map(|field| field.text).collect())
    }

    /// Refuses several columns of numbers under a heading, which are not names of tags.
    fn check_columns(&self, path: &Path, heading: Option<&[String]>) -> Result<()> {
        let Some(heading) = heading.filter(|heading| heading.len() > 2) else { return Ok(()) };
        let mut tags = self.rows.iter().flat_map(|row| &row.fields[1..]);
        if self.rows.is_empty() || !tags.all(|tag| tag.text.is_empty() || tag.text.parse::<f64>().is_ok()) {
            return Ok(());
        }
        let reason = format!("has numbers in its columns (`{}`), not names of tags", one_line(&heading.join(",")));
        Err(Error::data(path, reason, REMEDY))
    }

    /// What separates the tags in its fields.
    fn inner(&self) -> Inner {
        let filled = |row: &Row| row.fields.iter().skip(1).filter(|field| !field.text.is_empty()).count();
        if self.rows.iter().any(|row| filled(row) > 1) {
            return Inner::Fields(self.separator);
        }
        let plain = |row: &Row, character| {
            row.fields.iter().skip(1).any(|field| !field.quoted && field.text.contains(character))
        };
        let occurs = |character: &char| self.rows.iter().any(|row| plain(row, *character));
        SEPARATORS.into_iter().find(occurs).map_or(Inner::WhiteSpace, Inner::Character)
    }
}

impl Field {
    /// A field in which [`marked`] has marked quotes.
    fn of(text: &str) -> Self {
        match text.strip_prefix(MARK) {
            Some(text) => Field { text: text.trim().to_owned(), quoted: true },
            None => Field { text: text.trim().to_owned(), quoted: false },
        }
    }
}

impl Inner {
    /// The tags in a field. A name of a class is one tag in any case; if the classes are known, a quoted field that
    /// is not one of them may be a list of them.
    fn split(self, field: &Field, classes: Option<&[String]>) -> Vec<String> {
        let known = |name: &str| classes.is_some_and(|classes| classes.iter().any(|class| class == name));
        let whole = || vec![field.text.clone()];
        if field.text.is_empty() {
            return Vec::new();
        }
        if known(&field.text) {
            return whole();
        }
        if !field.quoted {
            return self.parts(&field.text);
        }
        let lists = SEPARATORS.map(Inner::Character).into_iter().chain([Inner::WhiteSpace]);
        let mut lists = lists.map(|inner| inner.parts(&field.text));
        lists.find(|parts| parts.iter().all(|part| known(part))).unwrap_or_else(whole)
    }

    fn parts(self, text: &str) -> Vec<String> {
        match self {
            Inner::Fields(_) => vec![text.to_owned()],
            Inner::WhiteSpace => text.split_whitespace().map(str::to_owned).collect(),
            Inner::Character(character) => {
                text.split(character).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Inner::Fields(separator) | Inner::Character(separator) => described(separator),
            Inner::WhiteSpace => "white space",
        }
    }
}

/// Whether a quoted field could be taken for several tags.
fn could_be_several(text: &str) -> bool {
    text.contains(SEPARATORS) || text.contains(char::is_whitespace)
}

fn described(separator: char) -> &'static str {
    match separator {
        ',' => "a comma",
        ';' => "a semicolon",
        '\t' => "a tab",
        _ => "a vertical bar",
    }
}

/// Marks the beginning of a quoted field, since a reader of CSV does not tell whether a field was quoted. The character
/// is for private use.
const MARK: char = '\u{f8ff}';

/// The text with [`MARK`] after every opening quote, and without white space around quotes, which RFC 4180 does not
/// allow but many programs write. An error is the line of a quote that is not closed.
fn marked(text: &str, separator: char) -> std::result::Result<String, usize> {
    let is_blank = |c: &char| (*c == ' ' || *c == '\t') && *c != separator;
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut begins = true;
    while chars.peek().is_some() {
        if begins {
            while chars.next_if(is_blank).is_some() {}
            if chars.next_if_eq(&'"').is_some() {
                let line = 1 + out.matches('\n').count();
                out.extend(['"', MARK]);
                loop {
                    let c = chars.next().ok_or(line)?;
                    out.push(c);
                    if c == '"' {
                        let Some(second) = chars.next_if_eq(&'"') else { break };
                        out.push(second);
                    }
                }
                while chars.next_if(is_blank).is_some() {}
            }
        }
        if let Some(c) = chars.next() {
            out.push(c);
            begins = c == separator || c == '\n' || c == '\r';
        }
    }
    Ok(out)
}
