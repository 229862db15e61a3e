//! Text files of other programs: UTF-8, with or without a byte order mark.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// The byte order mark, which some programs write at the start of a text.
const MARK: char = '\u{feff}';

/// Reads a text file without its byte order mark.
///
/// # Errors
/// If the file cannot be read, or is not UTF-8; a text in UTF-16 is named as such.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    decode(path, fs::read(path).map_err(Error::io(path))?)
}

/// The text in the bytes of a file, without its byte order mark.
fn decode(path: &Path, bytes: Vec<u8>) -> Result<String> {
    check_encoding(path, &bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Error::data(path, format!("is not UTF-8 text (line {line})"), "save it as UTF-8")
    })?;
    Ok(text.trim_start_matches(MARK).to_owned())
}

/// The number of bytes that byte order marks take at the start of a UTF-8 text.
///
/// # Errors
/// If the mark is one of UTF-16.
pub(crate) fn mark_length(path: &Path, bytes: &[u8]) -> Result<usize> {
    check_encoding(path, bytes)?;
    let mut mark = [0; 4];
    let mark = MARK.encode_utf8(&mut mark).as_bytes();
    Ok(bytes.chunks(mark.len()).take_while(|chunk| *chunk == mark).count() * mark.len())
}

/// Refuses UTF-16 and UTF-32, whose byte order marks begin with one of these pairs or with two zero bytes.
fn check_encoding(path: &Path, bytes: &[u8]) -> Result<()> {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 0, 0xFE, 0xFF, ..] => {
            Err(Error::data(path, "is a text in UTF-16 or UTF-32", "save it as UTF-8"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects texts of Windows programs, and the message about other encodings.
    #[test]
    fn byte_order_marks_are_stripped_or_named() {
        let path = Path::new("list.txt");
        let text = |bytes: &[u8]| decode(path, bytes.to_vec());
        assert_eq!(text(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(text(b"\xEF\xBB\xBF\xEF\xBB\xBFa\xEF\xBB\xBF").unwrap(), "a\u{feff}", "only at the start");
        for (bytes, part) in [(&b"\xFF\xFEa\0"[..], "UTF-16"), (b"\xFE\xFF\0a", "UTF-16"), (b"a\n\xE9", "(line 2)")] {
            let message = text(bytes).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("list.txt") && message.contains("UTF-8"), "{message}");
        }
        assert_eq!([&b"\xEF\xBB\xBF{}"[..], b"{}", b""].map(|bytes| mark_length(path, bytes).unwrap()), [3, 0, 0]);
    }
}
