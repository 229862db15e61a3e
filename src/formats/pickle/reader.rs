//! Bytes of a pickle, read front to back with every length checked.

use crate::formats::fault::{Checked, Fault};

/// The bytes left to read.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Total number of bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// An error at the current position.
    pub fn damaged(&self, reason: &str) -> Fault {
        Fault::damaged(format!("the pickle is damaged before byte {}: {reason}", self.at))
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: u64) -> Checked<&'a [u8]> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.damaged("it is truncated"))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Checked<u8> {
        Ok(self.take(1)?[0])
    }

    /// The next N bytes.
    pub fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| self.damaged("it is truncated"))
    }

    /// The next little-endian number of `width` bytes, at most 8.
    pub fn number(&mut self, width: u64) -> Checked<u64> {
        Ok(self.take(width)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Bytes after a length of `width` bytes.
    pub fn block(&mut self, width: u64) -> Checked<&'a [u8]> {
        let length = self.number(width)?;
        self.take(length)
    }

    /// Text after a length of `width` bytes.
    pub fn text(&mut self, width: u64) -> Checked<&'a str> {
        let block = self.block(width)?;
        std::str::from_utf8(block).map_err(|_| self.damaged("a string is not UTF-8"))
    }

    /// Text up to the end of the line.
    pub fn line(&mut self) -> Checked<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.damaged("a line has no end"))?;
        let line = self.take(length as u64)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| self.damaged("a string is not UTF-8"))
    }
}
