//! The generated data set: textured shapes over clutter, with tags and masks, for trying the program and testing it.
//!
//! Four classes, each with a form, a texture and a tendency of colour: striped reddish discs, chequered bluish squares,
//! dotted greenish triangles and banded violet rings, one to three in an image. Colour alone does not give a class
//! away: strokes and small blobs of any colour lie in the background and belong to no class.

mod paint;
mod scene;

use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::data::palette::write_index_png;
use crate::data::picture::{Mask, Rgb8};
use crate::data::random::{Purpose, stream};
use crate::data::tags::classes_shown;
use crate::{Error, Result};

/// The four classes; mask value 1 is the first.
pub const CLASSES: [&str; 4] = ["disc", "square", "triangle", "ring"];

/// Below this side the textures would be finer than the pixels.
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
    /// Seed; the same seed and size give the same pictures, however many there are.
    pub seed: u64,
    /// Write into a folder that already holds something. Files of the same name are replaced, others stay.
    pub overwrite: bool,
}

impl Default for ShapesOptions {
    fn default() -> Self {
        Self { train: 400, val: 100, size: 64, seed: 1, overwrite: false }
    }
}

/// The two parts of the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For evaluation.
    Val,
}

impl Split {
    /// The split's name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
        }
    }
}

/// Picture `index` of a split: the image and its mask, `size` pixels a side.
pub fn picture(split: Split, index: usize, size: usize, seed: u64) -> (Rgb8, Mask) {
    scene::draw(size, &mut stream(seed, Purpose::Shapes, [split as u64, index as u64]))
}

/// Writes the data set to the folder `out` in PASCAL VOC layout: `JPEGImages/*.jpg`, `SegmentationClassAug/*.png`,
/// `ImageSets/Segmentation/{train,val}.txt` and `labels.json`.
///
/// # Errors
///
/// When an option is out of range, the folder holds something and `overwrite` is not set, or a file cannot be written.
pub fn generate(out: &Path, options: &ShapesOptions) -> Result<()> {
    if options.size < SMALLEST_SIDE {
        let reason = format!("{} pixels are too few for the textures", options.size);
        return Err(Error::config("size", reason, format!("use {SMALLEST_SIDE} or more")));
    }
    for (key, count) in [("train", options.train), ("val", options.val)] {
        if count == 0 {
            return Err(Error::config(key, "is 0, but a split is not empty", "use 1 or more"));
        }
    }
    if !options.overwrite && fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::data(out, "the folder is not empty", "name another folder, or pass `--overwrite`"));
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
        fs::write(&path, list).map_err(Error::io(path))?;
        tags.extend(written);
    }
    let labels = format!("{:#}\n", json!({ "classes": CLASSES, "tags": tags }));
    let path = out.join("labels.json");
    fs::write(&path, labels).map_err(Error::io(path))
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
