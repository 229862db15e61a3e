//! The contact sheet: rows of samples, columns of maps.

use super::font;
use super::picture::{Map, enlarge, heat_overlay, label_overlay};
use crate::data::Rgb8;

/// Cells are enlarged by an integer factor to about this width.
const CELL_WIDTH: usize = 160;
const GAP: usize = 6;
const MARGIN: usize = 14;
const PAPER: [u8; 3] = [250, 249, 246];
const INK: [u8; 3] = [60, 60, 64];
const CAPTION_HEIGHT: usize = 26;

/// A map to draw over an image.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    /// A class for each pixel.
    Labels(Map<'a, u8>),
    /// A real number from 0 to 1 for each pixel.
    Heat(Map<'a, f32>),
}

/// One image with its maps by column title. Maps may be of any size; they are stretched
/// over the image.
#[derive(Debug, Clone, Default)]
pub struct Sample<'a> {
    /// The image.
    pub photo: Rgb8,
    /// The maps, in the order of the columns.
    pub maps: Vec<(&'static str, Cell<'a>)>,
    /// Its name or tags.
    pub caption: String,
}

impl Sample<'_> {
    /// The title of the column of images.
    pub const IMAGE: &'static str = "image";
    /// The title of the column of the segmentation's arg-max.
    pub const PREDICTION: &'static str = "prediction";
    /// The title of the column of true masks.
    pub const TRUTH: &'static str = "truth";

    /// The pictures of the row by column title, enlarged to be readable: the image, and every map over it.
    pub fn cells(&self) -> Vec<(&'static str, Rgb8)> {
        let photo = enlarge(&self.photo, CELL_WIDTH.div_ceil(self.photo.width.max(1)).min(4));
        let maps = self.maps.iter().map(|(title, map)| match map {
            Cell::Labels(map) => (*title, label_overlay(&photo, *map)),
            Cell::Heat(map) => (*title, heat_overlay(&photo, *map)),
        });
        let maps: Vec<_> = maps.collect();
        std::iter::once((Self::IMAGE, photo)).chain(maps).collect()
    }
}

/// The titles of all columns of some rows, in order; a row may lack some columns.
pub(super) fn titles(rows: &[Vec<(&'static str, Rgb8)>]) -> Vec<&'static str> {
    let mut titles: Vec<&str> = Vec::new();
    for row in rows {
        let mut place = 0;
        for (title, _) in row {
            match titles.iter().position(|known| known == title) {
                Some(known) => place = known + 1,
                None => {
                    titles.insert(place, title);
                    place += 1;
                }
            }
        }
    }
    titles
}

/// The picture of a column in a row.
pub(super) fn cell_of<'a>(row: &'a [(&'static str, Rgb8)], title: &str) -> Option<&'a Rgb8> {
    row.iter().find(|(known, _)| *known == title).map(|(_, cell)| cell)
}

/// One picture of all `samples`, with titles over the columns.
pub fn contact_sheet(samples: &[Sample<'_>]) -> Rgb8 {
    let rows: Vec<_> = samples.iter().map(Sample::cells).collect();
    let columns = titles(&rows);
    let cell_width = rows.iter().flatten().map(|(_, cell)| cell.width).max().unwrap_or(CELL_WIDTH);
    let row_height = |row: &[(&'static str, Rgb8)]| row.iter().map(|(_, cell)| cell.height).max().unwrap_or(0);

    let width = 2 * MARGIN + columns.len().max(1) * (cell_width + GAP) - GAP;
    let height = 2 * MARGIN + CAPTION_HEIGHT + rows.iter().map(|row| row_height(row) + GAP).sum::<usize>();
    let mut sheet = Rgb8::from_fn(height, width, |_, _| PAPER);
    let left = |place: usize| MARGIN + place * (cell_width + GAP);

    for (place, column) in columns.iter().enumerate() {
        font::draw(&mut sheet, column, (left(place), MARGIN), 2, INK);
    }
    let mut top = MARGIN + CAPTION_HEIGHT;
    for row in &rows {
        for (place, column) in columns.iter().enumerate() {
            if let Some(cell) = cell_of(row, column) {
                paste(&mut sheet, cell, [top, left(place)]);
            }
        }
        top += row_height(row) + GAP;
    }
    sheet
}

/// Copies `cell` into `sheet`, its first pixel to the given row and column.
fn paste(sheet: &mut Rgb8, cell: &Rgb8, [top, left]: [usize; 2]) {
    for (y, row) in cell.data.chunks_exact(3 * cell.width.max(1)).enumerate() {
        sheet.data[3 * ((top + y) * sheet.width + left)..][..row.len()].copy_from_slice(row);
    }
}
