//! Masks as PNG files: indices are written and read.

use std::fs::File;

use png::{BitDepth, ColorType, Encoder};
use tagseg::data::Mask;
use tagseg::data::palette::{colourise, read_index_png, write_index_png};

/// Protects the whole range of indices, written and read back.
#[test]
fn masks_survive_the_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.png");
    let mask = Mask::new(16, 16, (0..=255).collect());
    write_index_png(&path, &mask).unwrap();
    assert_eq!(read_index_png(&path).unwrap(), mask);
    let colours = image::open(&path).unwrap().into_rgb8();
    assert_eq!(colours.into_raw(), colourise(&mask).data, "other programs see the VOC colours");
}

/// Protects palette and grey masks of few bits, whose rows end within a byte.
#[test]
fn small_depths_are_read_as_indices() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, depth, rows, indices) in [
        (ColorType::Indexed, BitDepth::Four, [0x12, 0x30, 0x45, 0x60], [1, 2, 3, 4, 5, 6]),
        (ColorType::Indexed, BitDepth::Two, [0b01_10_11_00, 0, 0b00_01_01_00, 0], [1, 2, 3, 0, 1, 1]),
        (ColorType::Grayscale, BitDepth::One, [0b1010_0000, 0, 0b0110_0000, 0], [1, 0, 1, 0, 1, 1]),
    ] {
        let path = folder.path().join("small.png");
        let mut encoder = Encoder::new(File::create(&path).unwrap(), 3, 2);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        if kind == ColorType::Indexed {
            encoder.set_palette((0..48).rev().collect::<Vec<u8>>());
        }
        let used = if depth == BitDepth::Four { rows.to_vec() } else { vec![rows[0], rows[2]] };
        encoder.write_header().unwrap().write_image_data(&used).unwrap();
        assert_eq!(read_index_png(&path).unwrap(), Mask::new(2, 3, indices.to_vec()), "{kind:?} {depth:?}");
    }
}

/// Protects grey masks as distributed with SBD: values, not brightness.
#[test]
fn grey_masks_contain_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grey.png");
    image::GrayImage::from_raw(2, 1, vec![20, 255]).unwrap().save(&path).unwrap();
    assert_eq!(read_index_png(&path).unwrap().data, [20, 255]);
}
