//! Resize, crop and normalisation against Pillow and the spec's numbers.

use std::path::{Path, PathBuf};

use tagseg::data::random::{Purpose, stream};
use tagseg::data::resize::{resize_bilinear, resize_nearest};
use tagseg::data::{AugmentOptions, Crop, Mask, Rgb8, augment, normalise};

use crate::folder::{assert_names, message};

/// Black after normalisation, by channel (method.md 16).
const BLACK: [f32; 3] = [-2.117_904, -2.035_714_3, -1.804_444_4];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

/// Protects parity with the `resize(size, BILINEAR)` of Pillow 11.3 (from 13.0 on it filters columns first when only
/// the height shrinks much): half a photograph, half noise, up, down, one axis.
#[test]
fn resize_equals_pillow() {
    let source = Rgb8::read(&fixture("resize_source.png")).unwrap();
    for (width, height) in [(20, 14), (77, 55), (41, 12), (9, 29), (5, 3), (53, 21)] {
        let expected = Rgb8::read(&fixture(&format!("resize_{width}x{height}.png"))).unwrap();
        assert!(resize_bilinear(&source, height, width) == expected, "{width}x{height} differs");
    }
    assert_eq!(resize_bilinear(&source, 29, 41), source, "the same size is the same image");
}

/// An image whose pixels encode their position: red is 10 + y, green 10 + x, blue 200.
fn chart(height: usize, width: usize) -> Rgb8 {
    let pixels = (0..height * width).flat_map(|place| [10 + (place / width) as u8, 10 + (place % width) as u8, 200]);
    Rgb8::new(height, width, pixels.collect())
}

fn crops(image: &Rgb8, side: usize, options: &AugmentOptions) -> Vec<Crop> {
    (0..200).map(|index| augment(image, None, side, options, &mut stream(1, Purpose::Augment, [0, index]))).collect()
}

/// Checks that exactly the inside of img_box shows the image, and the rest black.
fn assert_box_holds_the_image(crop: &Crop, side: usize) {
    let [y0, y1, x0, x1] = crop.img_box.map(|edge| usize::try_from(edge).unwrap());
    assert!(y0 < y1 && y1 <= side && x0 < x1 && x1 <= side, "{:?}", crop.img_box);
    for (place, value) in crop.image.iter().enumerate() {
        let (channel, y, x) = (place / (side * side), place / side % side, place % side);
        let inside = (y0..y1).contains(&y) && (x0..x1).contains(&x);
        assert_eq!(*value != BLACK[channel], inside, "channel {channel}, y {y}, x {x} with box {:?}", crop.img_box);
    }
}

/// Protects img_box and black padding (method.md 8.4), with an image smaller, larger and mixed, at random scales.
#[test]
fn img_box_separates_image_from_padding() {
    for (height, width) in [(9, 7), (40, 50), (8, 40), (24, 24), (1, 60)] {
        for crop in crops(&chart(height, width), 24, &AugmentOptions::default()) {
            assert_eq!(crop.image.len(), 3 * 24 * 24);
            assert_box_holds_the_image(&crop, 24);
        }
    }
}

/// Protects masks of supervised baselines: a mask is transformed like its image, and padding is void.
#[test]
fn a_mask_is_transformed_like_its_image() {
    let (height, width, side) = (30, 40, 24);
    // Two halves: the mask labels them, and the image is dark in one and bright in the other.
    let half = |place: usize| place % width >= width / 2;
    let image = Rgb8::new(
        height,
        width,
        (0..height * width).flat_map(|place| [if half(place) { 250 } else { 10 }; 3]).collect(),
    );
    let mask = Mask::new(height, width, (0..height * width).map(|place| if half(place) { 7 } else { 0 }).collect());
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..100 {
        let mut random = stream(1, Purpose::Augment, [0, index]);
        let crop = augment(&image, Some(&mask), side, &AugmentOptions::default(), &mut random);
        let [y0, y1, x0, x1] = crop.img_box.map(|edge| edge as usize);
        assert_eq!(crop.mask.len(), side * side);
        for (place, &label) in crop.mask.iter().enumerate() {
            let inside = (y0..y1).contains(&(place / side)) && (x0..x1).contains(&(place % side));
            assert_eq!(label != 255, inside);
            // Between the halves the image is grey, where the mask may have either label.
            let bright = crop.image[place];
            let wrong = if bright > 2.1 { 0 } else { 7 };
            assert!((-1.9..2.1).contains(&bright) || label != wrong, "{bright} is labelled {label}");
            seen.insert(label);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 7, 255]);
    assert_eq!(
        resize_nearest(&Mask::new(1, 4, vec![1, 2, 3, 4]), 2, 2).data,
        [2, 4, 2, 4],
        "the pixel under the centre"
    );
}

/// Protects the position of the crop: without scale and flip, each pixel comes from the position given by the box, and
/// every position occurs.
#[test]
fn crops_keep_pixels_in_place() {
    let fixed = AugmentOptions { scale: (1.0, 1.0), flip: false };
    let (side, height, width) = (6, 4, 9);
    let table = normalise(&chart(height, width));
    let mut seen = std::collections::BTreeSet::new();
    for crop in crops(&chart(height, width), side, &fixed) {
        let [y0, y1, x0, x1] = crop.img_box.map(|edge| edge as usize);
        assert_eq!((y1 - y0, x0, x1), (4, 0, 6), "the image fits in height and covers the width");
        let first = crop.image[(side + y0) * side];
        let origin = (0..width).find(|&x| table[height * width + x] == first).unwrap();
        seen.insert((y0, origin));
        for (y, x) in (0..4).flat_map(|y| (0..6).map(move |x| (y, x))) {
            for channel in 0..3 {
                let expected = table[(channel * height + y) * width + origin + x];
                assert_eq!(crop.image[(channel * side + y0 + y) * side + x], expected);
            }
        }
    }
    assert_eq!(seen.len(), 3 * 4, "all offsets 0..=2 and origins 0..=3: {seen:?}");
}

/// Protects the flip: about half of the crops are mirrored, and only along x.
#[test]
fn half_of_the_crops_are_mirrored() {
    let flipping = AugmentOptions { scale: (1.0, 1.0), flip: true };
    let plain = normalise(&chart(5, 5));
    let mirrored: Vec<f32> = plain.chunks(5).flat_map(|row| row.iter().rev().copied()).collect();
    let crops = crops(&chart(5, 5), 5, &flipping);
    let flips = crops.iter().filter(|crop| crop.image == mirrored).count();
    let plains = crops.iter().filter(|crop| crop.image == plain).count();
    assert_eq!(flips + plains, crops.len());
    assert!((70..130).contains(&flips), "{flips} of 200");
}

/// Protects the order of planes and the constants of normalisation.
#[test]
fn normalisation_is_by_channel() {
    let image = Rgb8::new(1, 2, vec![0, 0, 0, 255, 255, 255]);
    let expected = [BLACK[0], 2.248_908_3, BLACK[1], 2.428_571_5, BLACK[2], 2.64];
    for (actual, expected) in normalise(&image).iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-6, "{actual} {expected}");
    }
}

#[test]
fn impossible_scales_are_refused() {
    for scale in [(0.0, 1.0), (2.0, 0.5), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        assert_names(&message(AugmentOptions { scale, flip: true }.check()), &["augment.scale", "smaller one first"]);
    }
}
