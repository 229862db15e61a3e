//! From a decoded image to a training crop (method.md 8.3, 8.4).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::picture::{Mask, Rgb8};
use crate::data::random::Stream;
use crate::data::resize::{resize_bilinear, resize_nearest};
use crate::data::tags::VOID;
use crate::error::{Error, Result};

/// The random augmentations of a training crop besides its position.
#[derive(Clone, Debug, PartialEq)]
pub struct AugmentOptions {
    /// Long side of the image before scaling; 0 keeps its own.
    pub long_side: usize,
    /// Smallest and largest scale; the scale is uniform between them.
    pub scale: (f64, f64),
    /// Mirror every second image from left to right.
    pub flip: bool,
}

impl Default for AugmentOptions {
    fn default() -> Self {
        Self { long_side: 0, scale: (0.5, 2.0), flip: true }
    }
}

impl AugmentOptions {
    /// Checks the range of scales.
    ///
    /// # Errors
    ///
    /// Unless `0 < smallest <= largest`, both finite.
    pub fn check(&self) -> Result<()> {
        let (smallest, largest) = self.scale;
        if smallest > 0.0 && smallest <= largest && largest.is_finite() {
            return Ok(());
        }
        Err(Error::config(
            "augment.scale",
            format!("{smallest} to {largest} is not a valid range of scales"),
            "give two numbers above 0, the smaller one first",
        ))
    }
}

/// One training crop.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    /// Red, green and blue, `[S, S, 3]`; padding is black.
    pub image: Vec<u8>,
    /// `[y0, y1, x0, x1]`, half open, in crop coordinates: the part that is image rather than padding.
    /// Clamped to the crop (method.md 8.4).
    pub img_box: [i32; 4],
    /// `[S, S]`, the mask, void on padding; empty if none was given.
    pub mask: Vec<i32>,
}

/// Draws a training crop of side `crop_side`: scale, flip, pad, crop, in this order (method.md 8.3). A mask of
/// the image, if given, is transformed likewise with nearest-neighbour sampling.
pub fn augment(
    image: &Rgb8,
    mask: Option<&Mask>,
    crop_side: usize,
    options: &AugmentOptions,
    random: &mut Stream,
) -> Crop {
    let rng = &mut random.0;
    // Both numbers are always drawn, so that an option does not change the other random numbers.
    let (smallest, largest) = options.scale;
    let ratio = smallest + (largest - smallest) * rng.random::<f64>();
    let flip = rng.random::<f64>() > 0.5 && options.flip;

    let ratio = match options.long_side {
        0 => ratio,
        long_side => ratio * long_side as f64 / image.height.max(image.width) as f64,
    };
    let mut scaled = resize_bilinear(image, scaled_side(image.height, ratio), scaled_side(image.width, ratio));
    if flip {
        flip_horizontally(&mut scaled);
    }
    let rows = Placement::draw(scaled.height, crop_side, rng);
    let columns = Placement::draw(scaled.width, crop_side, rng);
    let mask = mask.map_or_else(Vec::new, |mask| {
        let mut scaled = resize_nearest(mask, scaled.height, scaled.width);
        if flip {
            scaled.data.chunks_exact_mut(scaled.width).for_each(<[u8]>::reverse);
        }
        cut_mask(&scaled, crop_side, &rows, &columns)
    });
    Crop { mask, ..cut(&scaled, crop_side, &rows, &columns) }
}

/// Truncates as Python's `int` does, but keeps at least one pixel.
fn scaled_side(side: usize, ratio: f64) -> usize {
    ((side as f64 * ratio) as usize).max(1)
}

fn flip_horizontally(image: &mut Rgb8) {
    for row in image.data.chunks_exact_mut(image.width * 3) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}

/// Where image and crop meet along one axis.
#[derive(Debug, PartialEq)]
struct Placement {
    /// First pixel of the crop that shows the image.
    start: usize,
    /// One past the last pixel of the crop that shows the image.
    end: usize,
    /// The image's pixel shown at `start`.
    source: usize,
}

impl Placement {
    /// Draws the image's offset on a black canvas of max(crop, side) pixels, then the crop's origin on that canvas. At
    /// least one of the two is 0.
    fn draw(side: usize, crop_side: usize, rng: &mut ChaCha8Rng) -> Self {
        let canvas = side.max(crop_side);
        let offset = rng.random_range(0..=(canvas - side) as u64) as usize;
        let origin = rng.random_range(0..=(canvas - crop_side) as u64) as usize;
        Self::at(side, crop_side, offset, origin)
    }

    fn at(side: usize, crop_side: usize, offset: usize, origin: usize) -> Self {
        let start = offset.saturating_sub(origin);
        let end = crop_side.min(offset + side - origin);
        Self { start, end, source: origin.saturating_sub(offset) }
    }
}

/// Copies the visible part of the image onto black.
fn cut(image: &Rgb8, crop_side: usize, rows: &Placement, columns: &Placement) -> Crop {
    let mut pixels = vec![0; 3 * crop_side * crop_side];
    for (y, source_y) in (rows.start..rows.end).zip(rows.source..) {
        let source = &image.data[(source_y * image.width + columns.source) * 3..];
        let target = &mut pixels[y * crop_side * 3..][columns.start * 3..columns.end * 3];
        target.copy_from_slice(&source[..target.len()]);
    }
    let img_box = [rows.start, rows.end, columns.start, columns.end].map(|edge| edge as i32);
    Crop { image: pixels, img_box, mask: Vec::new() }
}

/// Copies the visible part of the mask onto void.
fn cut_mask(mask: &Mask, crop_side: usize, rows: &Placement, columns: &Placement) -> Vec<i32> {
    let mut plane = vec![i32::from(VOID); crop_side * crop_side];
    for (y, source_y) in (rows.start..rows.end).zip(rows.source..) {
        let source = mask.data[source_y * mask.width + columns.source..].iter();
        for (pixel, &value) in plane[y * crop_side..][columns.start..columns.end].iter_mut().zip(source) {
            *pixel = i32::from(value);
        }
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the clamped img_box of method.md 8.4 in all its cases: image inside the crop, equal to it, larger than
    /// it.
    #[test]
    fn placement_is_clamped_to_the_crop() {
        let place = |side, offset, origin| Placement::at(side, 10, offset, origin);
        assert_eq!(place(4, 3, 0), Placement { start: 3, end: 7, source: 0 });
        assert_eq!(place(4, 6, 0), Placement { start: 6, end: 10, source: 0 });
        assert_eq!(place(10, 0, 0), Placement { start: 0, end: 10, source: 0 });
        assert_eq!(place(15, 0, 5), Placement { start: 0, end: 10, source: 5 });
        assert_eq!(place(25, 0, 7), Placement { start: 0, end: 10, source: 7 });
    }

    /// Protects truncation of scaled sides, and a smallest side of 1.
    #[test]
    fn scaled_sides_truncate_but_never_vanish() {
        assert_eq!(scaled_side(375, 1.9999), 749);
        assert_eq!(scaled_side(500, 0.5), 250);
        assert_eq!(scaled_side(1, 0.5), 1);
    }
}
