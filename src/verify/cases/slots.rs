//! Between the engine's slots, which hold the valid classes of each image, and the file's channels.

use crate::bmp::Slots;
use crate::error::Result;
use crate::verify::golden::{GoldenCase, Stored, StoredValues};

/// The slots of images with the stored multi-hot tags `name` \[B, K\]: i32 \[B, P\].
pub fn slots_of_tags(case: &GoldenCase, name: &str) -> Result<Stored> {
    let (shape, tags) = (case.shape(name)?, case.reals(name)?);
    let (batch, foreground) = (shape[0], shape[1]);
    let count = |image: &[f32]| image.iter().filter(|tag| **tag > 0.5).count();
    let width = Slots::width_for(tags.chunks(foreground).map(count).max().unwrap_or(0));
    let slots = Slots::new(tags, foreground, width);
    Ok(Stored { shape: vec![batch, width], values: StoredValues::I32(slots.classes) })
}

/// The classes of image `index`.
pub fn classes_of(slots: &Stored, index: usize) -> Vec<usize> {
    let width = slots.shape[1];
    match &slots.values {
        StoredValues::I32(classes) => {
            let own = &classes[index * width..][..width];
            own.iter().filter_map(|class| usize::try_from(*class).ok()).collect()
        }
        StoredValues::F32(_) => Vec::new(),
    }
}

/// The scores of image `index` of \[B, H, W, P\], one map after another: \[its classes, H, W\].
pub fn maps_of_image(scores: &[f64], shape: &[usize], slots: &Stored, index: usize) -> Vec<f64> {
    let (pixels, width) = (shape[1] * shape[2], shape[3]);
    let own = &scores[index * pixels * width..][..pixels * width];
    let used = 0..classes_of(slots, index).len();
    used.flat_map(|slot| own.iter().skip(slot).step_by(width).copied()).collect()
}

/// Scores \[B, H, W, P\] as channels \[B, `channels`, H, W\]; channels of other classes are 0.
pub fn channels_of_slots(scores: &[f64], shape: &[usize], slots: &Stored, channels: usize) -> Vec<f64> {
    let (batch, pixels) = (shape[0], shape[1] * shape[2]);
    let mut out = vec![0.0; batch * channels * pixels];
    for index in 0..batch {
        let maps = maps_of_image(scores, shape, slots, index);
        for (class, map) in classes_of(slots, index).into_iter().zip(maps.chunks(pixels)) {
            out[(index * channels + class) * pixels..][..pixels].copy_from_slice(map);
        }
    }
    out
}

/// How far the best of the scores of a pixel lies above the second best, and the best itself. `maps` holds one map of
/// `pixels` after another.
pub fn leads(maps: &[f64], pixels: usize) -> Vec<(f64, f64)> {
    let of_pixel = |pixel: usize| {
        let (mut best, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for &score in maps.iter().skip(pixel).step_by(pixels) {
            (best, second) = if score > best { (score, best) } else { (best, second.max(score)) };
        }
        (best - second, best)
    };
    (0..pixels).map(of_pixel).collect()
}
