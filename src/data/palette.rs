//! The PASCAL VOC colours and the PNG files whose pixels are class indices.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

use crate::data::picture::{Mask, Rgb8, one_line};
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;

/// The PASCAL VOC colour of an index: its bits, three at a time from the lowest, become the bits of red, green and
/// blue, from the highest. 0 is black, 255 is (224, 224, 192).
pub const fn colour(index: u8) -> [u8; 3] {
    let mut rgb = [0u8; 3];
    let mut place = 0;
    while place < 8 {
        rgb[place % 3] |= ((index >> place) & 1) << (7 - place / 3);
        place += 1;
    }
    rgb
}

/// The colours of all 256 indices, as a PNG palette holds them.
pub const PALETTE: [[u8; 3]; 256] = {
    let mut palette = [[0; 3]; 256];
    let mut index = 0;
    while index < 256 {
        palette[index] = colour(index as u8);
        index += 1;
    }
    palette
};

/// The mask as an image in the PASCAL VOC colours.
pub fn colourise(mask: &Mask) -> Rgb8 {
    let data = mask.data.iter().flat_map(|&index| PALETTE[usize::from(index)]).collect();
    Rgb8::new(mask.height, mask.width, data)
}

/// Reads a mask from a PNG file: the *indices* of a palette image, never its colours, or the values of a grey image
/// (method.md 8.1). Depths of 1, 2, 4 and 8 bits are read; values are not scaled.
///
/// # Errors
///
/// If the file cannot be opened, does not decode, or contains colours instead of indices.
pub fn read_index_png(path: &Path) -> Result<Mask> {
    let undecodable = |error: png::DecodingError| {
        let reason = format!("does not decode as PNG ({})", one_line(&error));
        Error::data(path, reason, "replace the mask: a palette or 8-bit grey PNG of class indices")
    };
    let mut decoder = Decoder::new(BufReader::new(File::open(path).map_err(Error::io(path))?));
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(undecodable)?;

    let (kind, depth) = reader.output_color_type();
    if !matches!(kind, ColorType::Indexed | ColorType::Grayscale) || depth == BitDepth::Sixteen {
        return Err(Error::data(
            path,
            format!("is a {}-bit {kind:?} PNG, not a mask of class indices", depth as u8),
            "store each pixel's class index in a palette PNG or an 8-bit grey PNG",
        ));
    }
    let too_large = || Error::data(path, "does not fit in memory", "use a smaller mask");
    let mut packed = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut packed).map_err(undecodable)?;

    let (height, width) = (frame.height as usize, frame.width as usize);
    let data = packed.chunks(frame.line_size).take(height).flat_map(|row| unpack(row, depth as u8, width)).collect();
    Ok(Mask::new(height, width, data))
}

/// Whether a PNG file has a palette in which any index has a colour other than PASCAL VOC's.
pub fn has_other_colours(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let Ok(reader) = Decoder::new(BufReader::new(file)).read_info() else { return false };
    let colours = reader.info().palette.as_deref().unwrap_or_default();
    colours.as_chunks::<3>().0.iter().zip(PALETTE).any(|(own, voc)| *own != voc)
}

/// The `width` samples of a row; a byte holds its samples from the high bits down.
fn unpack(row: &[u8], depth: u8, width: usize) -> impl Iterator<Item = u8> + '_ {
    let per_byte = usize::from(8 / depth);
    let low_bits = u8::MAX >> (8 - depth);
    (0..width).map(move |x| {
        let shift = 8 - depth * (x % per_byte + 1) as u8;
        (row[x / per_byte] >> shift) & low_bits
    })
}

/// Writes a mask as an 8-bit palette PNG in the PASCAL VOC colours, the format of VOC's masks, atomically.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_index_png(path: &Path, mask: &Mask) -> Result<()> {
    let unwritable = |error: png::EncodingError| {
        let reason = format!("cannot be written ({})", one_line(&error));
        Error::data(path, reason, "check the folder and the free disk space")
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, mask.width as u32, mask.height as u32);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(Cow::Borrowed(PALETTE.as_flattened()));
    let mut writer = encoder.write_header().map_err(unwritable)?;
    writer.write_image_data(&mask.data).map_err(unwritable)?;
    writer.finish().map_err(unwritable)?;
    write_whole(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the well-known colours of VOC results.
    #[test]
    fn colours_are_those_of_voc() {
        let known: [(u8, [u8; 3]); 7] = [
            (0, [0, 0, 0]),
            (1, [128, 0, 0]),
            (2, [0, 128, 0]),
            (3, [128, 128, 0]),
            (15, [192, 128, 128]),
            (20, [0, 64, 128]),
            (255, [224, 224, 192]),
        ];
        for (index, rgb) in known {
            assert_eq!(PALETTE[usize::from(index)], rgb, "colour of index {index}");
        }
    }

    /// Protects the unpacking of small depths, whose last byte may be only partly used.
    #[test]
    fn small_depths_unpack_from_the_high_bits() {
        assert_eq!(unpack(&[0x12, 0x30], 4, 3).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(unpack(&[0b00_01_10_11], 2, 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(unpack(&[0b1010_0000], 1, 3).collect::<Vec<_>>(), [1, 0, 1]);
    }
}
