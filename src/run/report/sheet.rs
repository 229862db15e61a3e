//! The contact sheet: rows of samples, columns of what the method made of them.

use image::{Rgb, RgbImage, imageops};

use super::font;
use super::picture::{Map, enlarge, heat_overlay, label_overlay};

/// Cells are enlarged by a whole factor until they are about this wide.
const CELL_WIDTH: u32 = 160;
const GAP: u32 = 6;
const MARGIN: u32 = 14;
const PAPER: [u8; 3] = [250, 249, 246];
const INK: [u8; 3] = [60, 60, 64];
const CAPTION_HEIGHT: u32 = 26;

/// What the method made of one image. Maps may be of any size, they are stretched over the image; a missing one leaves
/// its cell out of the page and empty on the sheet.
#[derive(Debug, Clone, Default)]
pub struct Sample<'a> {
    /// The image.
    pub photo: RgbImage,
    /// The strongest seed at each pixel, 0 … 1.
    pub seed: Option<Map<'a, f32>>,
    /// The label that supervises the segmentation branch.
    pub y_c: Option<Map<'a, u8>>,
    /// The label that supervises the classification branch.
    pub y_s: Option<Map<'a, u8>>,
    /// Arg-max of the segmentation branch.
    pub prediction: Option<Map<'a, u8>>,
    /// The truth.
    pub truth: Option<Map<'a, u8>>,
    /// Its name or tags.
    pub caption: String,
}

impl Sample<'_> {
    /// Captions of the columns, in order.
    pub const COLUMNS: [&'static str; 6] = ["image", "seed", "Y_c", "Y_s", "prediction", "truth"];

    /// The pictures of the row, enlarged to be readable, in the order of [`Sample::COLUMNS`].
    pub fn cells(&self) -> [Option<RgbImage>; 6] {
        let photo = enlarge(&self.photo, CELL_WIDTH.div_ceil(self.photo.width().max(1)).min(4));
        let labels = |map: Option<Map<'_, u8>>| map.map(|map| label_overlay(&photo, map));
        let seed = self.seed.map(|map| heat_overlay(&photo, map));
        let [y_c, y_s, prediction, truth] = [self.y_c, self.y_s, self.prediction, self.truth].map(labels);
        [Some(photo), seed, y_c, y_s, prediction, truth]
    }
}

/// One picture of all `samples`, with captions over the columns. Columns that no sample fills are left out.
pub fn contact_sheet(samples: &[Sample<'_>]) -> RgbImage {
    let rows: Vec<_> = samples.iter().map(Sample::cells).collect();
    let columns: Vec<usize> =
        (0..Sample::COLUMNS.len()).filter(|column| rows.iter().any(|row| row[*column].is_some())).collect();
    let largest = |side: fn(&RgbImage) -> u32| rows.iter().flatten().flatten().map(side).max().unwrap_or(CELL_WIDTH);
    let cell_width = largest(RgbImage::width);
    let row_height = |row: &[Option<RgbImage>; 6]| row.iter().flatten().map(RgbImage::height).max().unwrap_or(0);

    let width = 2 * MARGIN + (columns.len().max(1) as u32) * (cell_width + GAP) - GAP;
    let height = 2 * MARGIN + CAPTION_HEIGHT + rows.iter().map(|row| row_height(row) + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, Rgb(PAPER));
    let left = |place: usize| MARGIN + place as u32 * (cell_width + GAP);

    for (place, column) in columns.iter().enumerate() {
        font::draw(&mut sheet, Sample::COLUMNS[*column], (left(place), MARGIN), 2, INK);
    }
    let mut top = MARGIN + CAPTION_HEIGHT;
    for row in &rows {
        for (place, column) in columns.iter().enumerate() {
            if let Some(cell) = &row[*column] {
                imageops::replace(&mut sheet, cell, left(place).into(), top.into());
            }
        }
        top += row_height(row) + GAP;
    }
    sheet
}
