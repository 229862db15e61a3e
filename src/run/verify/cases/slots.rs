//! Conversion between the engine's slots, which hold the valid classes of each image, and the file's channels.

use crate::error::Result;
use crate::parts::propagation::Slots;
use crate::run::verify::golden::{GoldenCase, Stored, StoredValues};

/// The slots of images with the stored multi-hot tags `name` \[B, K\].
pub fn slots_of_tags(case: &GoldenCase, name: &str) -> Result<Slots> {
    let ([_, foreground], tags) = (case.extents(name)?, case.reals(name)?);
    let count = |image: &[f32]| image.iter().filter(|tag| **tag > 0.5).count();
    let width = Slots::width_for(tags.chunks(foreground).map(count).max().unwrap_or(0));
    Ok(Slots::new(tags, foreground, width))
}

/// Slots as an input of a graph: i32 \[B, P\].
pub fn stored(slots: &Slots) -> Stored {
    let shape = vec![slots.classes.len() / slots.width, slots.width];
    Stored { shape, values: StoredValues::I32(slots.classes.clone()) }
}

/// The classes of every image.
fn classes(slots: &Slots) -> impl Iterator<Item = Vec<usize>> {
    let own = |image: &[i32]| image.iter().filter_map(|class| usize::try_from(*class).ok()).collect();
    slots.classes.chunks(slots.width).map(own)
}

/// The scores of every image of \[B, H, W, P\], one map after another: \[its classes, H, W\].
pub fn maps_of_images(scores: &[f64], [_, height, width, slots_each]: [usize; 4], slots: &Slots) -> Vec<Vec<f64>> {
    let images = scores.chunks(height * width * slots_each).zip(classes(slots));
    let maps = |(own, classes): (&[f64], Vec<usize>)| {
        (0..classes.len()).flat_map(|slot| own.iter().skip(slot).step_by(slots_each).copied()).collect()
    };
    images.map(maps).collect()
}

/// Scores \[B, H, W, P\] as channels \[B, `channels`, H, W\]; channels of other classes are 0.
pub fn channels_of_slots(scores: &[f64], shape: [usize; 4], slots: &Slots, channels: usize) -> Vec<f64> {
    let [batch, height, width, _] = shape;
    let pixels = height * width;
    let mut out = vec![0.0; batch * channels * pixels];
    let images = out.chunks_mut(channels * pixels).zip(maps_of_images(scores, shape, slots)).zip(classes(slots));
    for ((out, maps), classes) in images {
        for (class, map) in classes.into_iter().zip(maps.chunks(pixels)) {
            out[class * pixels..][..pixels].copy_from_slice(map);
        }
    }
    out
}

/// The margin of the best score of a pixel over the second best, and the best itself. `maps` holds one map of
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
