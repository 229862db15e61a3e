//! NumPy's `.npy` files: a header in Python's notation, then numbers, or a pickle of objects.
//!
//! Two forms are read: a matrix of numbers, and a dictionary from ids to vectors as `numpy.save(file, {id: vector})`
//! writes it. The pickle is read by the restricted machine of [`pickle`], which never calls anything.

use std::collections::HashMap;

use crate::formats::element::Values;
use crate::formats::fault::{Checked, Fault};
use crate::formats::pickle;
use crate::formats::pickle::{Array, Dtype, Id, Pickle, Value};

/// First bytes of a file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The remedy for a file whose content is neither of the two forms.
const REMEDY: &str = "in Python, numpy.save a matrix of numbers, or {id: vector of numbers}";

/// A file's header and its content.
#[derive(Debug, PartialEq, Eq)]
pub struct Npy<'a> {
    /// Byte order and code of the elements: `<f4`, `|O`.
    pub descr: &'a str,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// The numbers, or a pickle.
    pub body: &'a [u8],
}

impl<'a> Npy<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// If the file is not one of NumPy's, its header is damaged, or its elements have fields.
    pub fn parse(bytes: &'a [u8]) -> Checked<Self> {
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| misfit("is not a file of numpy.save"))?;
        let (header, body) = split_header(rest).ok_or_else(|| Fault::damaged("its header is truncated"))?;
        read_header(header, body).ok_or_else(|| misfit("its elements are neither plain numbers nor objects"))
    }

    /// The number of columns of a matrix, and its numbers, row by row.
    ///
    /// # Errors
    /// If it is not a matrix of little-endian numbers, or their number does not match its shape.
    pub fn matrix(&self) -> Checked<(usize, Vec<f32>)> {
        let [rows, columns] = self.shape[..] else {
            return Err(misfit(format!("has {} axes, but a matrix has 2", self.shape.len())));
        };
        let mut code = self.descr.chars();
        let order = code.next().unwrap_or_default();
        let numbers = numbers(Dtype { code: code.as_str(), order }, rows.checked_mul(columns), self.body)?;
        if !self.fortran_order {
            return Ok((columns, numbers));
        }
        let row = |row: usize| numbers.iter().skip(row).step_by(rows).copied();
        Ok((columns, (0..rows).flat_map(row).collect()))
    }

    /// The vectors of a dictionary by id. All have the same length.
    ///
    /// # Errors
    /// If it is something else, or its pickle uses a name that no array needs.
    pub fn vectors(&self) -> Checked<HashMap<&'a str, Vec<f32>>> {
        if self.descr != "|O" {
            return Err(misfit("does not contain a dictionary"));
        }
        let (pickle, _) = pickle::read(self.body).map_err(|fault| Fault { remedy: REMEDY, ..fault })?;
        let object = match *pickle.root() {
            Value::Array(Array { content, .. }) => pickle.members(content).unwrap_or_default(),
            _ => &[],
        };
        let [Value::Dict(items)] = object.iter().map(|id| pickle.get(*id)).collect::<Vec<_>>()[..] else {
            return Err(misfit("does not contain a dictionary"));
        };
        let mut vectors = HashMap::new();
        let (mut length, mut total) = (None, 0);
        for (key, value) in items {
            let id = pickle.text(*key).ok_or_else(|| misfit("has a key that is not a string"))?;
            let vector = vector(&pickle, *value)
                .map_err(|fault| Fault { reason: format!("`{}`: {}", id.escape_debug(), fault.reason), ..fault })?;
            // Keys may share one vector: without a limit, a small file could fill the memory.
            total += vector.len();
            if *length.get_or_insert(vector.len()) != vector.len() || total > self.body.len() {
                return Err(misfit("its vectors differ in length, or share their data"));
            }
            vectors.insert(id, vector);
        }
        Ok(vectors)
    }
}

fn misfit(reason: impl Into<String>) -> Fault {
    Fault { reason: reason.into(), remedy: REMEDY }
}

/// The header's text and the content. The preceding length has 2 bytes in version 1 and 4 in versions 2 and 3.
fn split_header(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([major, _minor], rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_at_checked(if *major == 1 { 2 } else { 4 })?;
    let length = length.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, its keys in any order.
fn read_header<'a>(header: &'a [u8], body: &'a [u8]) -> Option<Npy<'a>> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text.strip_prefix('{')?;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest == "}" {
            return Some(Npy { descr: descr?, fortran_order: fortran_order?, shape: shape?, body });
        }
        let (key, value) = quoted(rest)?;
        let value = value.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (text, rest) = quoted(value)?;
                descr = Some(text);
                rest
            }
            "fortran_order" => {
                let (word, rest) = value.split_at(value.find([',', '}'])?);
                fortran_order = Some(matches!(word.trim(), "True"));
                rest
            }
            "shape" => {
                let (tuple, rest) = value.strip_prefix('(')?.split_once(')')?;
                let extents = tuple.split(',').map(str::trim).filter(|extent| !extent.is_empty());
                shape = Some(extents.map(str::parse).collect::<Result<_, _>>().ok()?);
                rest
            }
            _ => return None,
        };
    }
}

/// The quoted text at the start, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"'))?;
    text[1..].split_once(mark)
}

/// The numbers of a vector inside a pickle.
fn vector(pickle: &Pickle<'_>, id: Id) -> Checked<Vec<f32>> {
    let Value::Array(array) = *pickle.get(id) else { return Err(misfit("is not an array")) };
    let Value::Dtype(dtype) = *pickle.get(array.dtype) else { return Err(misfit("is an array without a dtype")) };
    let extents = pickle.members(array.shape).unwrap_or_default();
    let [length] = extents[..] else { return Err(misfit(format!("has {} axes, but a vector has 1", extents.len()))) };
    let count = pickle.count(length).and_then(|length| usize::try_from(length).ok());
    match *pickle.get(array.content) {
        Value::Bytes(bytes) => numbers(dtype, count, bytes),
        Value::LatinBytes(text) => {
            let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
            numbers(dtype, count, &bytes.ok_or_else(|| Fault::damaged("its data are not bytes"))?)
        }
        _ => Err(misfit("does not contain numbers")),
    }
}

/// Decodes `count` numbers, which must be all of the content.
fn numbers(dtype: Dtype<'_>, count: Option<usize>, bytes: &[u8]) -> Checked<Vec<f32>> {
    let unread = || {
        misfit(format!("the element type `{}{}` is not supported", dtype.order, dtype.code).escape_debug().to_string())
    };
    let element = dtype.element().ok_or_else(unread)?;
    if count.and_then(|count| count.checked_mul(element.size())) != Some(bytes.len()) {
        return Err(Fault::damaged("its shape does not match its data"));
    }
    Ok(match element.decode(bytes) {
        Values::Reals(numbers) => numbers,
        Values::Integers(numbers) => numbers.into_iter().map(|number| number as f32).collect(),
    })
}
