//! Maps drawn over images: heat maps of seeds, label maps in colour.

use super::colour::{grey, inferno, mix};
use crate::data::palette::colour;
use crate::data::resize::resize_bilinear;
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

    /// The value shown in row `y` and column `x` when the map is stretched over a picture of the given size.
    fn nearest(&self, y: usize, x: usize, [height, width]: [usize; 2]) -> T {
        let row = y * self.height / height;
        let column = x * self.width / width;
        self.data[row * self.width + column]
    }
}

impl Map<'_, f32> {
    /// As [`Map::nearest`], interpolated between the centres of cells.
    fn bilinear(&self, y: usize, x: usize, [height, width]: [usize; 2]) -> f32 {
        let source = |at: usize, out: usize, size: usize| {
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

/// Heat of 0 … 1 over the grey version of `photo`. The map may be of any size; it is stretched smoothly.
pub fn heat_overlay(photo: &Rgb8, heat: Map<'_, f32>) -> Rgb8 {
    let size = [photo.height, photo.width];
    Rgb8::from_fn(photo.height, photo.width, |y, x| {
        let value = heat.bilinear(y, x, size).clamp(0.0, 1.0);
        mix(grey(photo.pixel(y, x)), inferno(value), 0.45 + 0.4 * value)
    })
}

/// Labels in the colours of VOC over `photo`: background darkened, ignored pixels (255) pale and hatched. The map may
/// be of any size; it is stretched without smoothing.
pub fn label_overlay(photo: &Rgb8, labels: Map<'_, u8>) -> Rgb8 {
    let size = [photo.height, photo.width];
    Rgb8::from_fn(photo.height, photo.width, |y, x| {
        let under = photo.pixel(y, x);
        match labels.nearest(y, x, size) {
            0 => mix(grey(under), [16, 18, 24], 0.62),
            VOID if (x + y) % 8 < 2 => mix(grey(under), [150, 150, 150], 0.7),
            VOID => mix(grey(under), [236, 236, 236], 0.75),
            class => mix(under, colour(class), 0.68),
        }
    })
}

/// `picture` enlarged by a whole factor, smoothly.
pub(super) fn enlarge(picture: &Rgb8, factor: usize) -> Rgb8 {
    resize_bilinear(picture, picture.height * factor, picture.width * factor)
}

fn check_length(what: &str, shape: &[usize], length: usize) -> Result<()> {
    if length == 0 || shape.iter().product::<usize>() != length {
        return Err(Error::Graph(format!("{what} of shape {shape:?} cannot have {length} values")));
    }
    Ok(())
}
