//! Tables of tags: `labels.csv` in the layout of PASCAL VOC, and any CSV or TSV file, as RFC 4180 defines them.
//!
//! Fields are separated by commas, or by semicolons, tabs or vertical bars if the ids of the images are found so. The
//! image is the first field, or the one under a heading such as `file_name`. Its tags are
//!
//! - the classes of those columns that have 1, if all columns have 0 or 1 under a heading,
//! - or else the fields under headings such as `label`,
//! - or else all other fields. In rows of two fields, tags are separated by white space or by another of these
//!   characters; otherwise every field is one tag, and so is a quoted field.
//!
//! A field that is a list as Python and JSON write it gives its items. If all tags are numbers and a file names the
//! classes, they are those names. The rows of an image are united.

use std::collections::HashMap;
use std::path::Path;

use csv::{Position, ReaderBuilder};

use super::source::{Found, Wanted};
use crate::data::class_names::name_numbers;
use crate::data::endings::bare;
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

const FILES: [&str; 2] = ["labels.csv", "labels.tsv"];
const REMEDY: &str = "write lines of `id,tag tag`";

/// Separators of fields and of tags, the most common one first.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Headings of the columns of images, of tags, of splits, and of how sure a tag is, in lower case without `_`, `-` and
/// spaces.
const IMAGE: [&str; 11] = [
    "filename",
    "file",
    "imagefilename",
    "image",
    "imagepath",
    "path",
    "filepath",
    "imageid",
    "img",
    "id",
    "imagename",
];
const TAG: [&str; 11] = [
    "tag",
    "tags",
    "label",
    "labels",
    "class",
    "classes",
    "classname",
    "category",
    "categories",
    "labelname",
    "categoryname",
];
const SPLIT: [&str; 3] = ["split", "subset", "set"];
const CONFIDENCE: &str = "confidence";

/// The tags, if the file exists; see [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let Some(path) = FILES.into_iter().find_map(|file| wanted.at(file)) else { return Ok(None) };
    let read = read_table(&path, &wanted.images.root, wanted.id_of, wanted.classes.as_deref(), on_fault)?;
    let mut tags: HashMap<String, Vec<String>> = HashMap::new();
    for row in read.rows {
        let line = row.line;
        let Some(id) = (wanted.id_of)(&row.image) else {
            let reason =
                format!("line {line} has the id `{}`, but the data set has no such image", one_line(&row.image));
            on_fault(Error::data(&path, reason, "correct the id, or remove the line"))?;
            continue;
        };
        tags.entry(id).or_default().extend(row.tags);
    }
    let mut found = match (&wanted.classes, read.classes) {
        (None, Some(classes)) => {
            let known = Wanted { classes: Some(classes), ..wanted.clone() };
            known.found(known.by_name(&tags, &path, on_fault)?, &path)
        }
        _ => wanted.found(wanted.by_name(&tags, &path, on_fault)?, &path),
    };
    if let Some(notice) = &mut found.notice {
        notice.push_str(&format!(": {}", read.notice));
    }
    Ok(Some(found))
}

/// A table as tags.
pub(crate) struct TableTags {
    pub(crate) rows: Vec<TagRow>,
    /// The names of the columns, if each class has one.
    pub(crate) classes: Option<Vec<String>>,
    /// How it was read.
    pub(crate) notice: String,
}

/// A row of a table.
pub(crate) struct TagRow {
    pub(crate) line: u64,
    /// The image as the row names it.
    pub(crate) image: String,
    pub(crate) tags: Vec<String>,
    /// The split that the row says it is of, if there is such a column.
    pub(crate) split: Option<String>,
}

/// Reads a table of the data set in `root`; `id_of` is `Some` for texts that name an image.
///
/// # Errors
///
/// If the file is no table, or its columns are neither tags nor classes; numbers without a name are passed to
/// `on_fault`.
pub(crate) fn read_table(
    path: &Path,
    root: &Path,
    id_of: &dyn Fn(&str) -> Option<String>,
    classes: Option<&[String]>,
    on_fault: OnFault,
) -> Result<TableTags> {
    let mut table = Table::read(path, id_of)?;
    let heading = table.take_heading(id_of);
    let columns = Columns::new(&table, heading.as_deref(), path)?;
    let inner = table.inner(&columns.tags);
    let (mut rows, mut whole) = (Vec::with_capacity(table.rows.len()), None);
    for Row { line, fields } in &table.rows {
        let Some(image) = fields.get(columns.image).filter(|image| !image.text.is_empty()) else {
            let reason = format!("line {line} names no image");
            return Err(Error::data(path, reason, REMEDY));
        };
        let field = |column: &usize| fields.get(*column);
        let doubtful = columns.confidence.as_ref().and_then(field).and_then(|field| field.text.parse::<f64>().ok());
        let mut tags = Vec::new();
        if let Some(classes) = &columns.classes {
            let present = |column: &usize| field(column).is_some_and(|field| truth(&field.text) == Some(true));
            let names = columns.tags.iter().zip(classes).filter(|(column, _)| present(column)).map(|(_, name)| name);
            tags.extend(names.cloned());
        } else if doubtful.is_none_or(|confidence| confidence >= 0.5) {
            for field in columns.tags.iter().filter_map(field) {
                if field.quoted && could_be_several(&field.text) && listed(&field.text).is_none() {
                    whole = whole.or(Some(&field.text));
                }
                tags.extend(inner.split(field, classes));
            }
            let is_part =
                |tag: &&String| tag.starts_with('[') && !tag.contains(']') || tag.ends_with(']') && !tag.contains('[');
            if let Some(tag) = tags.iter().find(is_part) {
                let reason = format!("line {line} has the tag `{}`, which is a part of a list", one_line(tag));
                return Err(Error::data(path, reason, "write quotes around the list, as in \"['cat', 'dog']\""));
            }
        }
        let split = columns.split.as_ref().and_then(field).map(|field| field.text.clone());
        rows.push(TagRow { line: *line, image: image.text.clone(), tags, split });
    }
    let numbered = match columns.classes {
        Some(_) => None,
        None => {
            let pairs = rows.iter_mut().map(|row: &mut TagRow| (format!("line {}", row.line), &mut row.tags)).collect();
            name_numbers(pairs, path, &[path.parent().unwrap_or(root), root], on_fault)?
        }
    };
    let mut notice = format!("fields are separated by {}", described(table.separator));
    match &columns.classes {
        Some(classes) => notice.push_str(&format!(", {} columns of 0 and 1 are classes", classes.len())),
        None => notice.push_str(&format!(", tags by {}", inner.name())),
    }
    if let Some(heading) = &heading {
        notice.push_str(&format!("; line 1 is a heading (`{}`)", one_line(&heading.join(","))));
    }
    if let Some(field) = whole {
        notice.push_str(&format!("; quoted fields are one tag (`{field}`)"));
    }
    let mut classes = columns.classes;
    if let Some(numbered) = numbered {
        notice.push_str(&format!("; {}", numbered.notice));
        classes = numbered.classes;
    }
    Ok(TableTags { rows, classes, notice })
}

/// What the columns of a table are.
struct Columns {
    image: usize,
    tags: Vec<usize>,
    split: Option<usize>,
    confidence: Option<usize>,
    /// The names of the columns of `tags`, if each is a class.
    classes: Option<Vec<String>>,
}

impl Columns {
    fn new(table: &Table, heading: Option<&[String]>, path: &Path) -> Result<Self> {
        let width = table.rows.iter().map(|row| row.fields.len()).max().unwrap_or(0);
        let Some(heading) = heading else {
            let (tags, classes) = ((1..width).collect(), None);
            return Ok(Columns { image: 0, tags, split: None, confidence: None, classes });
        };
        let plain: Vec<String> = heading.iter().map(|name| plain(name)).collect();
        let named = |names: &[&str]| plain.iter().position(|name| names.contains(&name.as_str()));
        let image = image_column(heading);
        let (split, confidence) = (named(&SPLIT), named(&[CONFIDENCE]));
        let others: Vec<usize> = (0..width.max(heading.len())).filter(|column| *column != image).collect();
        let others: Vec<usize> = others.into_iter().filter(|column| Some(*column) != split).collect();
        let others: Vec<usize> = others.into_iter().filter(|column| !says_nothing(table, &plain, *column)).collect();
        let mut tags: Vec<usize> = others
            .iter()
            .copied()
            .filter(|column| plain.get(*column).is_some_and(|name| TAG.contains(&&**name)))
            .collect();
        let behind =
            table.rows.iter().find(|row| row.fields.iter().skip(heading.len()).any(|field| !field.text.is_empty()));
        if let Some(Row { line, fields }) = behind {
            // Several tags in the last column, which are separated as fields are.
            if tags.last() == Some(&(heading.len() - 1)) {
                tags.extend(heading.len()..width);
            } else if !tags.is_empty() {
                let reason = format!("line {line} has {} fields, but its heading has {}", fields.len(), heading.len());
                return Err(Error::data(path, reason, "write quotes around a field with separators"));
            }
        }
        if !tags.is_empty() {
            return Ok(Columns { image, tags, split, confidence, classes: None });
        }
        let tags = others;
        let texts = || table.rows.iter().flat_map(|row| tags.iter().filter_map(|column| row.fields.get(*column)));
        let filled = texts().filter(|field| !field.text.is_empty()).count();
        if filled > 0 && tags.len() < heading.len() && texts().all(|field| truth(&field.text).is_some()) {
            let names = tags.iter().map(|column| heading.get(*column).cloned().unwrap_or_default()).collect();
            return Ok(Columns { image, tags, split, confidence, classes: Some(names) });
        }
        if tags.len() > 1
            && filled > 0
            && texts().all(|field| field.text.is_empty() || field.text.parse::<f64>().is_ok())
        {
            let reason = format!("has numbers in its columns (`{}`), not names of tags", one_line(&heading.join(",")));
            return Err(Error::data(path, reason, REMEDY));
        }
        Ok(Columns { image, tags, split, confidence, classes: None })
    }
}

/// Whether a column without a name says nothing: it numbers the rows, as pandas writes it, or is empty, behind a
/// separator at the end of every line.
fn says_nothing(table: &Table, plain: &[String], column: usize) -> bool {
    let unnamed = plain.get(column).is_some_and(|name| name.is_empty() || name.starts_with("unnamed:"));
    let texts = || table.rows.iter().map(|row| row.fields.get(column).map_or("", |field| field.text.as_str()));
    unnamed && (texts().all(str::is_empty) || texts().all(|text| text.parse::<u64>().is_ok()))
}

/// The column of the image under a heading.
fn image_column(heading: &[String]) -> usize {
    let plain: Vec<String> = heading.iter().map(|name| plain(name)).collect();
    IMAGE.iter().find_map(|name| plain.iter().position(|own| own == name)).unwrap_or(0)
}

/// A heading without what programs write differently.
fn plain(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect()
}

/// Whether a field says that a class is there; an empty one says that it is not.
fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "" | "false" | "no" | "-1" => Some(false),
        number => match number.parse::<f64>() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            _ => None,
        },
    }
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
    fn read(path: &Path, id_of: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let text = read_text(path)?;
        let mut best: Option<(usize, Table)> = None;
        for separator in SEPARATORS.into_iter().filter(|separator| *separator == ',' || text.contains(*separator)) {
            let table = Table::parse(path, &text, separator)?;
            let first: Vec<String> = table
                .rows
                .first()
                .map_or(Vec::new(), |row| row.fields.iter().map(|field| field.text.clone()).collect());
            let column = if first.iter().any(|name| IMAGE.contains(&&*plain(name))) { image_column(&first) } else { 0 };
            let known = |row: &&Row| {
                row.fields.len() > 1 && row.fields.get(column).is_some_and(|field| id_of(&field.text).is_some())
            };
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

    /// Removes and returns the first row if it is a heading: none of its fields is an image or has the ending of one.
    fn take_heading(&mut self, id_of: &dyn Fn(&str) -> Option<String>) -> Option<Vec<String>> {
        let first = self.rows.first()?;
        let names: Vec<&str> = first.fields.iter().map(|field| field.text.as_str()).collect();
        let known = names.iter().any(|name| IMAGE.contains(&&*plain(name)) && id_of(name).is_none());
        if !known && (names.iter().any(|name| bare(name) != *name) || id_of(names[0]).is_some()) {
            return None;
        }
        Some(self.rows.remove(0).fields.into_iter().map(|field| field.text).collect())
    }

    /// What separates the tags in the fields of some columns.
    fn inner(&self, columns: &[usize]) -> Inner {
        if self.rows.iter().any(|row| row.of(columns).filter(|field| !field.text.is_empty()).count() > 1) {
            return Inner::Fields(self.separator);
        }
        let plain = |row: &Row, character| row.of(columns).any(|field| !field.quoted && field.text.contains(character));
        let occurs = |character: &char| self.rows.iter().any(|row| plain(row, *character));
        SEPARATORS.into_iter().find(occurs).map_or(Inner::WhiteSpace, Inner::Character)
    }
}

impl Row {
    /// The fields in some columns.
    fn of(&self, columns: &[usize]) -> impl Iterator<Item = &Field> {
        columns.iter().filter_map(|column| self.fields.get(*column))
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
        if let Some(list) = listed(&field.text) {
            return list;
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

/// The texts in a list as Python or JSON write it: `['cat', "dog"]`; `None` for other texts.
fn listed(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim_start();
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (item, behind) = match first {
            '\'' | '"' => rest[1..].split_once(first)?,
            _ => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if item.contains(['[', ']', '\\']) {
            return None;
        }
        found.push(item.trim().to_owned());
        // NumPy writes no commas.
        rest = behind.trim_start().trim_start_matches(',').trim_start();
    }
    Some(found.into_iter().filter(|item| !item.is_empty()).collect())
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
