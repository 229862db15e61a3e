//! Pictures from raw data: photos, heat maps of seeds, label maps in colour.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use super::colour::{grey, inferno, mix};
use crate::data::palette::colour;
use crate::data::{Rgb8, VOID};
use crate::error::{Error, Result};

/// A borrowed map with one value per pixel, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a, T> {
    height: usize,
    width: usize,
    data: &'a [T],
}

impl<'a, T: Copy> Map<'a, T> {
    /// A map of `height` × `width` values.
    ///
    /// # Errors
    /// [`Error::Graph`] if `data` has a different length or is empty.
    pub fn new(height: usize, width: usize, data: &'a [T]) -> Result<Self> {
        check_length("a map", &[height, width], data.len())?;
        Ok(Self { height, width, data })
    }

    /// The value shown at pixel (`x`, `y`) when the map is stretched over a picture of the given size.
    fn nearest(&self, x: u32, y: u32, (width, height): (u32, u32)) -> T {
        let row = (y as usize * self.height) / height as usize;
        let column = (x as usize * self.width) / width as usize;
        self.data[row * self.width + column]
    }
}

impl Map<'_, f32> {
    /// As [`Map::nearest`], interpolated between the centres of cells.
    fn bilinear(&self, x: u32, y: u32, (width, height): (u32, u32)) -> f32 {
        let source = |at: u32, out: u32, size: usize| {
            let position = ((at as f32 + 0.5) * size as f32 / out as f32 - 0.5).clamp(0.0, (size - 1) as f32);
            let first = position as usize;
            (first, (first + 1).min(size - 1), position - first as f32)
        };
        let (top, bottom, down) = source(y, height, self.height);
        let (left, right, across) = source(x, width, self.width);
        let row =
            |y: usize| self.data[y * self.width + left] * (1.0 - across) + self.data[y * self.width + right] * across;
        row(top) * (1.0 - down) + row(bottom) * down
    }
}

/// An image of a data set as a picture to draw on.
///
/// # Errors
/// [`Error::Graph`] if the number of bytes does not match the size.
pub fn photo_of(image: &Rgb8) -> Result<RgbImage> {
    let (width, height) = (image.width as u32, image.height as u32);
    RgbImage::from_raw(width, height, image.data.clone())
        .ok_or_else(|| Error::Graph(format!("an image of {width}×{height} cannot have {} bytes", image.data.len())))
}

/// Heat of 0 … 1 over the grey version of `photo`. The map may be of any size; it is stretched smoothly.
pub fn heat_overlay(photo: &RgbImage, heat: Map<'_, f32>) -> RgbImage {
    let size = photo.dimensions();
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let value = heat.bilinear(x, y, size).clamp(0.0, 1.0);
        Rgb(mix(grey(photo.get_pixel(x, y).0), inferno(value), 0.45 + 0.4 * value))
    })
}

/// Labels in the colours of VOC over `photo`: background darkened, ignored pixels (255) pale and hatched. The map may
/// be of any size; it is stretched without smoothing.
pub fn label_overlay(photo: &RgbImage, labels: Map<'_, u8>) -> RgbImage {
    let size = photo.dimensions();
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let under = photo.get_pixel(x, y).0;
        Rgb(match labels.nearest(x, y, size) {
            0 => mix(grey(under), [16, 18, 24], 0.62),
            VOID if (x + y) % 8 < 2 => mix(grey(under), [150, 150, 150], 0.7),
            VOID => mix(grey(under), [236, 236, 236], 0.75),
            class => mix(under, colour(class), 0.68),
        })
    })
}

/// Labels in the plain colours of VOC, as a palette PNG shows them.
pub fn colour_labels(labels: Map<'_, u8>) -> RgbImage {
    let size = (labels.width as u32, labels.height as u32);
    RgbImage::from_fn(size.0, size.1, |x, y| Rgb(colour(labels.nearest(x, y, size))))
}

/// `picture` enlarged by a whole factor, smoothly.
pub(super) fn enlarge(picture: &RgbImage, factor: u32) -> RgbImage {
    if factor <= 1 {
        return picture.clone();
    }
    imageops::resize(picture, picture.width() * factor, picture.height() * factor, FilterType::CatmullRom)
}

/// `picture` as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Graph`] if the encoder fails, as it does for an empty picture.
pub fn png_bytes(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Error::Graph(format!("a picture of {:?} pixels: {error}", picture.dimensions())))?;
    Ok(bytes.into_inner())
}

fn check_length(what: &str, shape: &[usize], length: usize) -> Result<()> {
    if length == 0 || shape.iter().product::<usize>() != length {
        return Err(Error::Graph(format!("{what} of shape {shape:?} cannot have {length} values")));
    }
    Ok(())
}
