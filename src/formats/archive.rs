//! The zip archives that `torch.save` writes: stored entries, zip64 where needed, nothing else.
//!
//! Entries are slices of the file: reading one costs no memory, whatever its header claims.

use std::collections::BTreeMap;

use super::fault::{Checked, Fault, quoted};

/// First bytes of a zip archive.
pub const MAGIC: &[u8] = b"PK\x03\x04";

/// The value of a 32-bit field whose actual value is in the zip64 field.
const ELSEWHERE: u64 = u32::MAX as u64;

/// The table of contents, borrowing the file's bytes.
pub struct Archive<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<&'a str, Entry>,
}

/// An entry's position according to the central directory.
struct Entry {
    flags: u64,
    method: u64,
    crc: u64,
    size: u64,
    header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// If there is none, or it does not match the file.
    pub fn open(bytes: &'a [u8]) -> Checked<Self> {
        let (count, mut at) = directory(bytes)?;
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (name, entry, next) = central_header(bytes, at)
                .ok_or_else(|| Fault::damaged("the archive's table of contents is truncated"))?;
            entries.insert(name, entry);
            at = next;
        }
        Ok(Archive { bytes, entries })
    }

    /// Names of all entries, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The bytes of an entry, checked against their checksum.
    ///
    /// # Errors
    /// If there is no such entry, it is compressed or encrypted, or its bytes are damaged.
    pub fn read(&self, name: &str) -> Checked<&'a [u8]> {
        let name_quoted = || quoted(name);
        let Some(entry) = self.entries.get(name) else {
            return Err(Fault::damaged(format!("the archive lacks {}", name_quoted())));
        };
        if entry.method != 0 || entry.flags & 1 != 0 {
            let reason = format!("{} is compressed or encrypted, which torch.save never does", name_quoted());
            return Err(Fault { reason, remedy: "load it in Python and save it again with torch.save" });
        }
        let bytes = self.stored(entry).ok_or_else(|| Fault::damaged(format!("{} is truncated", name_quoted())))?;
        if u64::from(crc32fast::hash(bytes)) != entry.crc {
            return Err(Fault::damaged(format!("the checksum of {} is wrong", name_quoted())));
        }
        Ok(bytes)
    }

    /// The bytes after an entry's local header, which repeats the name and has its own extra field.
    fn stored(&self, entry: &Entry) -> Option<&'a [u8]> {
        let header = part(self.bytes, entry.header, 30)?;
        let behind = number(header, 26, 2)? + number(header, 28, 2)?;
        let start = entry.header.checked_add(30 + behind)?;
        header.starts_with(MAGIC).then_some(())?;
        part(self.bytes, start, entry.size)
    }
}

/// Number of entries and offset of the first, from the record at the file's end.
fn directory(bytes: &[u8]) -> Checked<(u64, u64)> {
    // A comment of up to 65 535 bytes may follow the record.
    let searched = &bytes[bytes.len().saturating_sub(22 + 0xFFFF)..];
    let end = searched
        .windows(22)
        .rposition(|window| window.starts_with(b"PK\x05\x06"))
        .map(|position| position + bytes.len() - searched.len())
        .ok_or_else(|| Fault::damaged("the archive ends before its table of contents"))?;
    let read = || -> Option<(u64, u64)> {
        let record = &bytes[end..];
        let (count, offset) = (number(record, 10, 2)?, number(record, 16, 4)?);
        if count != 0xFFFF && offset != ELSEWHERE {
            return Some((count, offset));
        }
        // The zip64 locator precedes it and has the offset of the larger record.
        let locator = part(bytes, end.checked_sub(20)? as u64, 20)?;
        let record = part(bytes, number(locator, 8, 8)?, 56)?;
        (locator.starts_with(b"PK\x06\x07") && record.starts_with(b"PK\x06\x06")).then_some(())?;
        Some((number(record, 32, 8)?, number(record, 48, 8)?))
    };
    read().ok_or_else(|| Fault::damaged("the record at the archive's end is truncated"))
}

/// The entry of the table of contents at `at`, and the offset of the next one.
fn central_header(bytes: &[u8], at: u64) -> Option<(&str, Entry, u64)> {
    let header = part(bytes, at, 46)?;
    header.starts_with(b"PK\x01\x02").then_some(())?;
    let [name_length, extra_length, comment_length] = [28, 30, 32].map(|field| number(header, field, 2));
    let name_at = at + 46;
    let extra_at = name_at + name_length?;
    let name = std::str::from_utf8(part(bytes, name_at, name_length?)?).ok()?;
    let mut entry = Entry {
        flags: number(header, 8, 2)?,
        method: number(header, 10, 2)?,
        crc: number(header, 16, 4)?,
        size: number(header, 24, 4)?,
        header: number(header, 42, 4)?,
    };
    // The zip64 field contains, in this order, those of the sizes and the offset that need 64 bits.
    let mut large = extra_field(part(bytes, extra_at, extra_length?)?, 1).unwrap_or_default();
    let mut compressed = number(header, 20, 4)?;
    for field in [&mut entry.size, &mut compressed, &mut entry.header] {
        if *field == ELSEWHERE {
            *field = number(large, 0, 8)?;
            large = &large[8..];
        }
    }
    Some((name, entry, extra_at + extra_length? + comment_length?))
}

/// The field `tag` among an entry's extra fields.
fn extra_field(mut extra: &[u8], tag: u64) -> Option<&[u8]> {
    loop {
        let (found, length) = (number(extra, 0, 2)?, number(extra, 2, 2)?);
        let field = part(extra, 4, length)?;
        if found == tag {
            return Some(field);
        }
        extra = &extra[4 + field.len()..];
    }
}

/// `length` bytes from `start`, if there are so many.
fn part(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let end = usize::try_from(start.checked_add(length)?).ok()?;
    bytes.get(usize::try_from(start).ok()?..end)
}

/// The little-endian number of `length` bytes at `start`.
fn number(bytes: &[u8], start: u64, length: u64) -> Option<u64> {
    Some(part(bytes, start, length)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of one stored entry, its sizes and offsets in zip64 fields if `large`.
    fn archive(name: &str, data: &[u8], large: bool) -> Vec<u8> {
        let field = |value: usize, width: usize| value.to_le_bytes()[..width].to_vec();
        let crc = crc32fast::hash(data).to_le_bytes();
        let narrow = |value: usize| if large { vec![0xFF; 4] } else { field(value, 4) };
        let extra = if large {
            [field(1, 2), field(24, 2), field(data.len(), 8), field(data.len(), 8), field(0, 8)].concat()
        } else {
            Vec::new()
        };
        let sizes = [narrow(data.len()), narrow(data.len())].concat();
        let lengths = [field(name.len(), 2), field(0, 2)].concat();
        let local = [MAGIC, &[0; 10], &crc, &sizes, &lengths, name.as_bytes(), data].concat();
        let central = [
            b"PK\x01\x02".as_slice(),
            &[0; 12],
            &crc,
            &sizes,
            &field(name.len(), 2),
            &field(extra.len(), 2),
            &[0; 10],
            &narrow(0),
            name.as_bytes(),
            &extra,
        ]
        .concat();
        let record = [
            b"PK\x06\x06".as_slice(),
            &[0; 28],
            &field(1, 8),
            &field(central.len(), 8),
            &field(local.len(), 8),
            b"PK\x06\x07",
            &[0; 4],
            &field(local.len() + central.len(), 8),
            &[0; 4],
        ]
        .concat();
        let end = [b"PK\x05\x06".as_slice(), &[0; 6], &field(1, 2), &[0; 4], &narrow(local.len()), &[0; 2]].concat();
        [local, central, if large { record } else { Vec::new() }, end].concat()
    }

    #[test]
    fn entries_are_found_with_and_without_zip64() {
        for large in [false, true] {
            let bytes = archive("a/data.pkl", b"hello", large);
            let found = Archive::open(&bytes).unwrap();
            assert_eq!(found.names().collect::<Vec<_>>(), ["a/data.pkl"], "zip64 {large}");
            assert_eq!(found.read("a/data.pkl").unwrap(), b"hello");
            assert!(found.read("b").unwrap_err().reason.contains("lacks `b`"));
        }
    }

    #[test]
    fn damage_is_named() {
        let bytes = archive("a", b"hello", false);
        let mut changed = bytes.clone();
        changed[32] ^= 1;
        assert!(Archive::open(&changed).unwrap().read("a").unwrap_err().reason.contains("checksum of `a`"));
        for length in 0..bytes.len() {
            assert!(Archive::open(&bytes[..length]).is_err(), "truncated to {length}");
        }
    }
}
