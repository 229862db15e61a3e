//! Pictures of every colour type, compared with Pillow. `tests/fixtures/data/make_fixtures.py` made both.

use std::path::{Path, PathBuf};

use tagseg::data::Rgb8;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/images").join(name)
}

/// The largest difference from Pillow's picture, in grey levels.
fn worst(name: &str) -> u8 {
    let image = Rgb8::read(&fixture(name)).unwrap();
    let expected = Rgb8::read(&fixture(&format!("{}.rgb.png", name.replace('.', "_")))).unwrap();
    assert_eq!((image.height, image.width), (expected.height, expected.width), "{name}");
    image.data.iter().zip(&expected.data).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// Protects PNG of all depths and colour types, to the last bit.
#[test]
fn png_pictures_equal_pillow() {
    for name in ["grey.png", "bits.png", "palette.png", "alpha.png", "deep_colour.png"] {
        assert_eq!(worst(name), 0, "{name}");
    }
}

/// Protects JPEG in grey, colour and both kinds of CMYK, and the EXIF orientation, which must not rotate the picture.
/// JPEG decoders round differently (method.md 13, row 47).
#[test]
fn jpeg_pictures_equal_pillow_within_rounding() {
    for name in ["colour.jpg", "grey.jpg", "cmyk.jpg", "ycck.jpg", "turned.jpg"] {
        assert!(worst(name) <= 2, "{name}: {} grey levels", worst(name));
    }
}

/// Protects the rule for 16-bit grey, which the official loader turns into noise: the upper 8 bits are used.
#[test]
fn the_upper_eight_of_sixteen_bits_are_used() {
    let (deep, colour) =
        (Rgb8::read(&fixture("deep_grey.png")).unwrap(), Rgb8::read(&fixture("deep_colour.png")).unwrap());
    for (grey, colour) in deep.data.chunks_exact(3).zip(colour.data.chunks_exact(3)) {
        assert_eq!(grey, [colour[0]; 3], "the grey picture is the red of the other");
    }
}
