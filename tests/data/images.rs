//! Pictures of every colour type, compared with Pillow. `tests/fixtures/data/make_fixtures.py` made both.

use std::fs;
use std::path::{Path, PathBuf};

use tagseg::data::Rgb8;
use tagseg::formats::jpeg_scan::lacks_data;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data");
    let path = folder.join("images").join(name);
    if path.exists() { path } else { folder.join("formats").join(name) }
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

/// Protects against JPEG files that end early, whose rest decoders fill with grey, wherever they end; bytes behind the
/// end do not matter.
#[test]
fn jpeg_files_that_end_early_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["colour.jpg", "grey.jpg", "cmyk.jpg", "turned.jpg"] {
        let (whole, path) = (fs::read(fixture(name)).unwrap(), folder.path().join(name));
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Rgb8::read(&path)
        };
        for share in [5, 25, 50, 75, 99] {
            let message = read(&whole[..whole.len() * share / 100]).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("does not decode"), "{share} %: {message}");
        }
        assert!(read(&whole[..whole.len() - 1]).is_err());
        let half = [&whole[..whole.len() / 2], &vec![0; whole.len() / 2]].concat();
        assert!(read(&half).unwrap_err().to_string().contains("ends before the picture does"));
        assert_eq!(read(&[&whole[..], &[0; 9]].concat()).unwrap(), Rgb8::read(&fixture(name)).unwrap());
    }
}

/// Protects against JPEG files whose data end early although the marker of the end is there, in grey, colour, subsampled
/// colours, with restarts and progressive; a picture that is whole is read.
#[test]
fn jpeg_files_that_lack_data_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["colour.jpg", "grey.jpg", "cmyk.jpg", "turned.jpg", "halved.jpg", "progressive.jpg", "restarts.jpg"] {
        let (whole, path) = (fs::read(fixture(name)).unwrap(), folder.path().join(name));
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Rgb8::read(&path)
        };
        assert!(read(&whole).is_ok(), "{name}");
        // The first scan begins behind its header; its last tenth may be one unit.
        let start = whole.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
        let begin = start + 2 + usize::from(whole[start + 3]);
        let end = begin
            + whole[begin..]
                .windows(2)
                .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7))
                .unwrap();
        for share in [10, 50, 80] {
            let cut = begin + (end - begin) * share / 100;
            let text = read(&[&whole[..cut], &[0, 0xFF, 0xD9]].concat())
                .err()
                .unwrap_or_else(|| panic!("{name} at {share} %"));
            assert!(text.to_string().contains("a part of the picture is missing"), "{text}");
        }
    }
}

/// Protects pictures of phones: on request they are turned as viewers show them.
#[test]
fn the_orientation_turns_a_picture_on_request() {
    let (stored, upright) =
        (Rgb8::read(&fixture("turned.jpg")).unwrap(), Rgb8::read_upright(&fixture("turned.jpg")).unwrap());
    assert_ne!(stored, upright);
    let mut pixels = [stored.data.clone(), upright.data.clone()].map(|data| data.as_chunks::<3>().0.to_vec());
    pixels.iter_mut().for_each(|pixels| pixels.sort_unstable());
    assert_eq!(pixels[0], pixels[1], "the same pixels in other places");
    let plain = fixture("colour.jpg");
    assert_eq!(Rgb8::read(&plain).unwrap(), Rgb8::read_upright(&plain).unwrap());
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

/// Protects the other formats in all colour types, compressions and bit depths, of which the first picture counts. Lossy
/// decoders round differently.
#[test]
fn pictures_of_other_formats_equal_pillow() {
    for (name, limit) in [
        ("exact.webp", 0),
        ("lossy.webp", 3),
        ("alpha.webp", 0),
        ("turned.webp", 0),
        ("moving.webp", 0),
        ("colour.bmp", 0),
        ("grey.bmp", 0),
        ("palette.bmp", 0),
        ("bits.bmp", 0),
        ("colour.tif", 0),
        ("lzw.tif", 0),
        ("deflate.tif", 0),
        ("jpeg.tif", 2),
        ("grey.tif", 0),
        ("bits.tif", 0),
        ("fax.tif", 0),
        ("alpha.tif", 0),
        ("cmyk.tif", 2),
        ("palette.tif", 0),
        ("pages.tif", 0),
        ("palette.gif", 0),
        ("moving.gif", 0),
        // A transparent pixel has the colour that the palette gives it.
        ("clear.gif", 0),
    ] {
        assert!(worst(name) <= limit, "{name}: {} grey levels", worst(name));
    }
    // Pillow turns a TIFF file by itself.
    let (upright, expected) =
        (Rgb8::read_upright(&fixture("turned.tif")).unwrap(), Rgb8::read(&fixture("turned_tif.rgb.png")).unwrap());
    assert_eq!(upright, expected);
    assert_eq!(Rgb8::read(&fixture("turned.tif")).unwrap(), Rgb8::read(&fixture("colour.tif")).unwrap());
    assert_eq!(Rgb8::read_upright(&fixture("turned.webp")).unwrap(), upright);
    for name in ["palette.tif", "clear.gif", "moving.gif"] {
        assert_eq!(Rgb8::read_size(&fixture(name)).unwrap(), (24, 32), "{name}");
    }
    let deep = Rgb8::read(&fixture("deep.tif")).unwrap();
    assert_eq!(deep, Rgb8::read(&fixture("grey.tif")).unwrap(), "the upper 8 of 16 bits");
}

/// Protects against files of other formats that end early, and names a kind that is not read.
#[test]
fn files_of_other_formats_that_end_early_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "exact.webp",
        "lossy.webp",
        "colour.bmp",
        "palette.bmp",
        "colour.tif",
        "lzw.tif",
        "deflate.tif",
        "jpeg.tif",
        "fax.tif",
        "palette.tif",
        "palette.gif",
    ] {
        let (whole, path) = (fs::read(fixture(name)).unwrap(), folder.path().join(name));
        for share in [5, 25, 50, 75] {
            fs::write(&path, &whole[..whole.len() * share / 100]).unwrap();
            let message = Rgb8::read(&path).err().unwrap_or_else(|| panic!("{name} at {share} %")).to_string();
            assert!(
                message.contains(name) && message.contains("does not decode") && !message.contains('\n'),
                "{message}"
            );
        }
    }
}

/// Protects: no damage of a JPEG file makes the search for missing data panic.
#[test]
fn damaged_jpeg_files_do_not_panic() {
    let mut state = 1_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % limit
    };
    for name in ["colour.jpg", "halved.jpg", "progressive.jpg", "restarts.jpg"] {
        let whole = fs::read(fixture(name)).unwrap();
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..=random(5) {
                let place = if random(2) == 0 { random(bytes.len()) } else { random(700.min(bytes.len())) };
                bytes[place] = random(256) as u8;
            }
            bytes.truncate(bytes.len() - if random(4) == 0 { random(whole.len()) } else { 0 });
            lacks_data(&bytes);
        }
    }
}
