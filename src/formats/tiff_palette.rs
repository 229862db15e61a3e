//! TIFF files of a palette, which the decoder of TIFF refuses: the same file with its indices as grey levels, and the
//! colours of the indices.

/// Tags of a TIFF file.
const BITS_PER_SAMPLE: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const COLOUR_MAP: u16 = 320;

/// Kinds of pictures.
const GREY: u16 = 1;
const PALETTE: u16 = 3;

/// The byte order of a file.
#[derive(Clone, Copy)]
struct Order {
    little: bool,
}

impl Order {
    fn short(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn long(self, bytes: &[u8], at: usize) -> Option<usize> {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize)
    }
}

/// Of a TIFF file whose first picture has a palette of 8 bits: its bytes with the indices as grey levels, and the colour of
/// every index, of whose 16 bits the upper 8 are kept. `None` for any other file.
pub fn indexed(bytes: &[u8]) -> Option<(Vec<u8>, [[u8; 3]; 256])> {
    let order = match bytes.get(..4)? {
        b"II*\0" => Order { little: true },
        b"MM\0*" => Order { little: false },
        _ => return None,
    };
    let first = order.long(bytes, 4)?;
    let count = usize::from(order.short(bytes, first)?);
    let entry = |tag: u16| {
        let places = (0..count).map(|index| first.saturating_add(2 + 12 * index));
        places.into_iter().find(|place| order.short(bytes, *place) == Some(tag))
    };
    // A single short value is at the start of its field.
    let value = |tag: u16| order.short(bytes, entry(tag)? + 8);
    if value(PHOTOMETRIC) != Some(PALETTE) || value(BITS_PER_SAMPLE) != Some(8) {
        return None;
    }
    let map = entry(COLOUR_MAP)?;
    if order.long(bytes, map + 4)? != 3 * 256 {
        return None;
    }
    let map = order.long(bytes, map + 8)?;
    let mut colours = [[0; 3]; 256];
    for (index, colour) in colours.iter_mut().enumerate() {
        for (channel, level) in colour.iter_mut().enumerate() {
            *level = (order.short(bytes, map.checked_add(2 * (256 * channel + index))?)? >> 8) as u8;
        }
    }
    let place = entry(PHOTOMETRIC)? + 8;
    let mut grey = bytes.to_vec();
    grey[place..place + 2].copy_from_slice(&if order.little { GREY.to_le_bytes() } else { GREY.to_be_bytes() });
    Some((grey, colours))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: no file that is cut or damaged makes it panic. `tests/data/images.rs` compares pixels.
    #[test]
    fn damaged_files_do_not_panic() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let whole = std::fs::read(root.join("tests/fixtures/data/formats/palette.tif")).unwrap();
        assert!(indexed(&whole).is_some());
        for length in 0..whole.len() {
            let _ = indexed(&whole[..length]);
            let mut damaged = whole.clone();
            damaged[length] = 255;
            let _ = indexed(&damaged);
        }
        assert!(indexed(&whole[..whole.len() / 3]).is_none());
    }
}
