//! Bilinear resize exactly as Pillow does it (method.md 8.3): antialiased when shrinking, in integer arithmetic, so
//! that every platform gives the same bytes. Interpolation in the network is different: it is not antialiased.

use crate::data::picture::{Mask, Rgb8};

/// Weights are integers that sum to about 2^22, as Pillow's do for 8-bit images.
const WEIGHT_BITS: u32 = 22;

/// The image at another size, equal to Pillow's `resize((width, height), BILINEAR)`.
///
/// # Panics
///
/// If a side is 0.
pub fn resize_bilinear(image: &Rgb8, height: usize, width: usize) -> Rgb8 {
    assert!(height > 0 && width > 0, "the sides of an image are at least 1");
    // Rows before columns, rounded to bytes in between; an axis that keeps its length is not filtered.
    let widened = if width == image.width { image.clone() } else { resize_rows(image, width) };
    if height == image.height { widened } else { resize_columns(&widened, height) }
}

/// The mask at another size: every pixel takes the value under its centre.
///
/// # Panics
///
/// If the mask is empty.
pub fn resize_nearest(mask: &Mask, height: usize, width: usize) -> Mask {
    let under = |pixel: usize, from: usize, to: usize| (2 * pixel + 1) * from / (2 * to);
    let row = |y: usize| &mask.data[under(y, mask.height, height) * mask.width..][..mask.width];
    let data = (0..height).flat_map(|y| (0..width).map(move |x| row(y)[under(x, mask.width, width)])).collect();
    Mask::new(height, width, data)
}

/// The source pixels along one axis that make up one pixel of the result.
struct Taps {
    first: usize,
    weights: Vec<u32>,
}

/// The taps of every pixel of an axis that goes from `from` to `to` pixels: a triangle around the pixel's centre, as
/// wide as a pixel of the coarser of the two grids on either side.
fn triangle_taps(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let taps_of = |pixel: usize| {
        let centre = (pixel as f64 + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let weight = |source: usize| (1.0 - ((source as f64 - centre + 0.5) / reach).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        let unit = f64::from(1 << WEIGHT_BITS);
        Taps { first, weights: (first..end).map(|source| (weight(source) / sum * unit + 0.5) as u32).collect() }
    };
    (0..to).map(taps_of).collect()
}

/// Half a grey level, the initial value of every sum, for rounding.
const HALF: u32 = 1 << (WEIGHT_BITS - 1);

fn to_byte(sum: u32) -> u8 {
    (sum >> WEIGHT_BITS).min(255) as u8
}

fn resize_rows(image: &Rgb8, width: usize) -> Rgb8 {
    let taps = triangle_taps(image.width, width);
    let mut data = Vec::with_capacity(image.height * width * 3);
    for row in image.data.chunks_exact(image.width * 3) {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += u32::from(value) * weight;
                }
            }
            data.extend(sums.map(to_byte));
        }
    }
    Rgb8::new(image.height, width, data)
}

fn resize_columns(image: &Rgb8, height: usize) -> Rgb8 {
    let line = image.width * 3;
    let mut data = Vec::with_capacity(height * line);
    let mut sums = vec![HALF; line];
    for Taps { first, weights } in triangle_taps(image.height, height) {
        sums.fill(HALF);
        for (row, weight) in image.data[first * line..].chunks_exact(line).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += u32::from(value) * weight;
            }
        }
        data.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    Rgb8::new(height, image.width, data)
}
