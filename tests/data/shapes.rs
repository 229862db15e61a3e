//! The generated data set.

use std::fs;
use std::path::Path;

use tagseg::data::shapes::{CLASSES, ShapesOptions, Split, generate, picture};
use tagseg::data::tags::classes_shown;
use tagseg::data::{Dataset, DatasetOptions};

use crate::folder::{assert_names, message};

fn small() -> ShapesOptions {
    ShapesOptions { train: 12, val: 5, size: 48, seed: 3, overwrite: false }
}

/// Every file below a folder with its bytes, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Protects repeatability: the same seed gives the same files, another seed different ones.
#[test]
fn the_seed_decides_every_byte() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    for (folder, seed) in folders.iter().zip([3, 3, 4]) {
        generate(folder.path(), &ShapesOptions { seed, ..small() }).unwrap();
    }
    let [first, second, other] = folders.each_ref().map(|folder| files(folder.path()));
    assert_eq!(first.len(), 2 * 17 + 3);
    assert!(first == second && first != other);
}

/// Protects the pictures themselves, on every platform: a checksum of an image and its mask.
#[test]
fn pictures_stay_as_they_are() {
    let (image, mask) = picture(Split::Val, 2, 64, 1);
    let sum = |data: &[u8]| data.iter().fold(0u32, |sum, &value| sum.wrapping_mul(31).wrapping_add(value.into()));
    assert_eq!(
        (sum(&image.data), sum(&mask.data)),
        (1_303_450_516, 157_772_636),
        "the generator changed, or this platform rounds differently"
    );
}

/// Protects the training signal: an image has a tag if and only if its mask shows the class, with enough pixels to
/// learn it.
#[test]
fn tags_and_masks_agree() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), &small()).unwrap();
    for (split, count) in [("train", 12), ("val", 5)] {
        let dataset = Dataset::open(folder.path(), split, &DatasetOptions::default()).unwrap();
        assert_eq!((dataset.len(), dataset.classes()), (count, &CLASSES.map(String::from)[..]));
        assert!(dataset.notices.is_empty() && dataset.has_masks());
        assert!((1..=2).contains(&dataset.max_tags()));
        for index in 0..count {
            let (image, mask) = (dataset.image(index).unwrap(), dataset.mask(index).unwrap());
            assert_eq!((image.height, image.width, mask.height, mask.width), (48, 48, 48, 48));
            let tagged: Vec<u8> = (1..=4).filter(|&class| dataset.tags(index)[usize::from(class) - 1] > 0.0).collect();
            assert_eq!(classes_shown(&mask), tagged);
            for class in tagged {
                assert!(mask.histogram()[usize::from(class)] * 50 >= 48 * 48, "at least 2 % of the pixels");
            }
        }
    }
}

/// Protects balance: every class occurs often, and background remains the largest part.
#[test]
fn classes_are_balanced() {
    let mut images = [0; 5];
    let mut pixels = [0; 5];
    for index in 0..200 {
        let (_, mask) = picture(Split::Train, index, 32, 1);
        let histogram = mask.histogram();
        assert_eq!(histogram[5..].iter().sum::<usize>(), 0, "values are 0 to 4");
        for class in 0..5 {
            images[class] += usize::from(histogram[class] > 0);
            pixels[class] += histogram[class];
        }
    }
    assert!(images[1..].iter().all(|&count| (45..90).contains(&count)), "{images:?}");
    assert!(pixels[0] * 2 > pixels.iter().sum(), "{pixels:?}");
}

#[test]
fn a_used_folder_is_only_overwritten_on_request() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let refusal = message(generate(folder.path(), &small()));
    assert_names(&refusal, &[&folder.path().display().to_string(), "not empty", "`--overwrite`"]);
    generate(folder.path(), &ShapesOptions { overwrite: true, ..small() }).unwrap();
    assert_eq!(fs::read(folder.path().join("thesis.txt")).unwrap(), b"years of work");
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |options| message(generate(folder.path(), &options));
    assert_names(&refused(ShapesOptions { size: 16, ..small() }), &["size", "16 pixels", "32 or more"]);
    assert_names(&refused(ShapesOptions { val: 0, ..small() }), &["val", "is 0", "1 or more"]);
}
