//! The end of a JPEG file: decoders fill what is missing of a file that was cut with grey, and say nothing.

/// Whether the bytes of a JPEG file end before the marker at the end of its first picture. What follows that marker does
/// not matter.
pub fn ends_early(bytes: &[u8]) -> bool {
    end(bytes).is_none()
}

const END: u8 = 0xD9;

/// The position behind the marker at the end.
fn end(bytes: &[u8]) -> Option<usize> {
    // Behind the marker at the start.
    let mut at = 2;
    loop {
        // Decoders skip foreign bytes before a marker, which is 0xFF, any number of times, and a code.
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        at += bytes.get(at..)?.iter().position(|&byte| byte != 0xFF)?;
        let code = bytes[at];
        at += 1;
        match code {
            END => return Some(at),
            // Stuffed bytes of a scan, restarts within it, and other markers without a segment.
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        // A segment, or the header of a scan, whose bytes are then searched for the next marker.
        let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        at += length.max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: markers within segments, such as those of a thumbnail, and stuffed bytes do not end a file.
    #[test]
    fn only_the_end_of_the_picture_ends_it() {
        let thumbnail = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
        let scan = [0xFF, 0xDA, 0, 3, 1, 7, 0xFF, 0, 9, 0xFF, 0xD0, 5];
        let whole = [&[0xFF, 0xD8][..], &thumbnail, &scan, &scan, &[0xFF, 0xFF, 0xD9]].concat();
        assert!(!ends_early(&whole) && !ends_early(&[&whole[..], b"more"].concat()));
        assert!((0..whole.len()).all(|length| ends_early(&whole[..length])));
        assert!(ends_early(&[&whole[..20], &[0; 400]].concat()), "a file whose rest is empty");
    }
}
