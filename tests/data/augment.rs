//! Resize and crop against Pillow and the method's numbers.

use std::path::{Path, PathBuf};

use tagseg::data::random::{Purpose, stream};
use tagseg::data::resize::{resize_bilinear, resize_nearest};
use tagseg::data::{AugmentOptions, Crop, Mask, Rgb8, augment};

use crate::folder::{assert_names, message};

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
        let (y, x) = (place / 3 / side, place / 3 % side);
        let inside = (y0..y1).contains(&y) && (x0..x1).contains(&x);
        assert_eq!(*value != 0, inside, "y {y}, x {x} with box {:?}", crop.img_box);
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
            let bright = crop.image[3 * place];
            let wrong = if bright > 245 { 0 } else { 7 };
            assert!((15..=245).contains(&bright) || label != wrong, "{bright} is labelled {label}");
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
    let fixed = AugmentOptions { scale: (1.0, 1.0), flip: false, ..AugmentOptions::default() };
    let (side, height, width) = (6, 4, 9);
    let chart = chart(height, width);
    let mut seen = std::collections::BTreeSet::new();
    for crop in crops(&chart, side, &fixed) {
        let [y0, y1, x0, x1] = crop.img_box.map(|edge| edge as usize);
        assert_eq!((y1 - y0, x0, x1), (4, 0, 6), "the image fits in height and covers the width");
        // The green of the first pixel.
        let origin = usize::from(crop.image[y0 * side * 3 + 1] - 10);
        seen.insert((y0, origin));
        for (y, x) in (0..4).flat_map(|y| (0..6).map(move |x| (y, x))) {
            let expected = &chart.data[3 * (y * width + origin + x)..][..3];
            assert_eq!(&crop.image[3 * ((y0 + y) * side + x)..][..3], expected);
        }
    }
    assert_eq!(seen.len(), 3 * 4, "all offsets 0..=2 and origins 0..=3: {seen:?}");
}

/// Protects the flip: about half of the crops are mirrored, and only along x.
#[test]
fn half_of_the_crops_are_mirrored() {
    let flipping = AugmentOptions { scale: (1.0, 1.0), flip: true, ..AugmentOptions::default() };
    let plain = chart(5, 5).data;
    let mirrored: Vec<u8> = plain.chunks(15).flat_map(|row| row.chunks(3).rev().flatten().copied()).collect();
    let crops = crops(&chart(5, 5), 5, &flipping);
    let flips = crops.iter().filter(|crop| crop.image == mirrored).count();
    let plains = crops.iter().filter(|crop| crop.image == plain).count();
    assert_eq!(flips + plains, crops.len());
    assert!((70..130).contains(&flips), "{flips} of 200");
}

/// Protects `data.long_side`: scales are relative to the image with this long side, and the image is resized once.
#[test]
fn a_long_side_replaces_the_own_size() {
    let fixed = |long_side, scale| AugmentOptions { long_side, scale, flip: false };
    let chart = chart(40, 60);
    let smaller = resize_bilinear(&chart, 20, 30);
    assert_eq!(crops(&chart, 16, &fixed(30, (1.0, 1.0))), crops(&smaller, 16, &fixed(0, (1.0, 1.0))));
    let whole = crops(&chart, 64, &fixed(30, (2.0, 2.0))).swap_remove(0);
    let [y0, y1, x0, x1] = whole.img_box;
    assert_eq!([y1 - y0, x1 - x0], [40, 60], "twice the long side of 30 is the image itself");
}

#[test]
fn impossible_scales_are_refused() {
    for scale in [(0.0, 1.0), (2.0, 0.5), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        assert_names(
            &message(AugmentOptions { scale, ..AugmentOptions::default() }.check()),
            &["augment.scale", "smaller one first"],
        );
    }
}
