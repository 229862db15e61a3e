//! The generated data set as a folder.

use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::set::{CLASSES, Split, picture};
use crate::data::palette::write_index_png;
use crate::data::tags::classes_shown;
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;

/// With shorter sides, the textures would be finer than the pixels.
const SMALLEST_SIDE: usize = 32;

const JPEG_QUALITY: u8 = 95;

/// What to generate.
#[derive(Clone, Debug)]
pub struct ShapesOptions {
    /// Images of the split `train`.
    pub train: usize,
    /// Images of the split `val`.
    pub val: usize,
    /// Side of the square images in pixels, at least 32.
    pub size: usize,
    /// Seed; the same seed and size give the same pictures, regardless of their number.
    pub seed: u64,
    /// Write into a folder that is not empty. Files of the same name are replaced, others are kept.
    pub overwrite: bool,
}

impl Default for ShapesOptions {
    /// The data set of the demo, whose 400 steps of 8 hardly see a picture twice (`docs/nano.md`).
    fn default() -> Self {
        Self { train: 3000, val: 120, size: 96, seed: 1, overwrite: false }
    }
}

/// Writes the data set to the folder `out` in PASCAL VOC layout: `JPEGImages/*.jpg`, `SegmentationClassAug/*.png`,
/// `ImageSets/Segmentation/{train,val}.txt` and `labels.json`.
///
/// # Errors
///
/// If an option is out of range, the folder is not empty and `overwrite` is not set, or a file cannot be written.
pub fn generate(out: &Path, options: &ShapesOptions) -> Result<()> {
    if options.size < SMALLEST_SIDE {
        let reason = format!("{} pixels are too few for the textures", options.size);
        return Err(Error::config("size", reason, format!("use {SMALLEST_SIDE} or more")));
    }
    for (key, count) in [("train", options.train), ("val", options.val)] {
        if count == 0 {
            return Err(Error::config(key, "is 0, but splits must not be empty", "use 1 or more"));
        }
    }
    if !options.overwrite && fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::data(out, "the folder is not empty", "choose another folder, or pass `--overwrite`"));
    }
    for folder in ["JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"] {
        let path = out.join(folder);
        fs::create_dir_all(&path).map_err(Error::io(path))?;
    }

    let mut tags = Map::new();
    for (split, count) in [(Split::Train, options.train), (Split::Val, options.val)] {
        let write = |index| write_picture(out, split, index, options);
        let written = (0..count).into_par_iter().map(write).collect::<Result<Vec<(String, Value)>>>()?;
        let list: String = written.iter().map(|(id, _)| format!("{id}\n")).collect();
        let path = out.join("ImageSets/Segmentation").join(format!("{}.txt", split.name()));
        write_whole(&path, list.as_bytes())?;
        tags.extend(written);
    }
    let labels = format!("{:#}\n", json!({ "classes": CLASSES, "tags": tags }));
    let path = out.join("labels.json");
    write_whole(&path, labels.as_bytes())
}

/// Writes one image and its mask; returns its id and tags.
fn write_picture(out: &Path, split: Split, index: usize, options: &ShapesOptions) -> Result<(String, Value)> {
    let id = format!("{}_{index:04}", split.name());
    let (image, mask) = picture(split, index, options.size, options.seed);
    image.write_jpeg(&out.join("JPEGImages").join(format!("{id}.jpg")), JPEG_QUALITY)?;
    write_index_png(&out.join("SegmentationClassAug").join(format!("{id}.png")), &mask)?;
    let names = classes_shown(&mask).into_iter().map(|value| CLASSES[usize::from(value) - 1]);
    Ok((id, names.collect()))
}
