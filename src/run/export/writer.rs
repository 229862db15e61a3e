//! What a form is made of: files for each image, files about all images.

use std::path::{Path, PathBuf};

use crate::data::{Mask, Rgb8, VOID};
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;

/// An image with its mask.
pub struct Labelled<'a> {
    /// Its place among all images.
    pub index: usize,
    /// Its name without ending; files that belong to it are called so.
    pub id: &'a str,
    /// The name of its file, as tools that read annotations look for it.
    pub file: &'a str,
    /// The image.
    pub image: &'a Rgb8,
    /// A class for each pixel.
    pub mask: &'a Mask,
    /// The probability of each foreground class, from the image classification.
    pub tag_scores: &'a [f32],
}

impl Labelled<'_> {
    /// Height and width.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.mask.height, self.mask.width]
    }

    /// The foreground classes that have a pixel, ascending, with the number of their pixels.
    pub(super) fn classes(&self) -> Vec<(u8, usize)> {
        let counts = self.mask.histogram();
        (1..VOID).zip(&counts[1..]).filter(|(_, count)| **count > 0).map(|(class, count)| (class, *count)).collect()
    }

    /// The smallest box around a class that has a pixel: x, y, width, height.
    pub(super) fn box_of(&self, class: u8) -> [usize; 4] {
        let [_, width] = self.size();
        let mut sides = [usize::MAX, usize::MAX, 0, 0];
        for (place, value) in self.mask.data.iter().enumerate() {
            if *value == class {
                let [x, y] = [place % width, place / width];
                sides = [sides[0].min(x), sides[1].min(y), sides[2].max(x + 1), sides[3].max(y + 1)];
            }
        }
        [sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1]]
    }
}

/// Writes one form.
pub(super) trait Writer {
    /// The files of an image, relative to the folder of the results.
    fn files_of(&self, _id: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The files about all images, relative to the folder of the results.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Takes an image: writes its files, or keeps what the others need.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn add(&mut self, out: &Path, labelled: &Labelled<'_>) -> Result<()>;

    /// Writes the files about all images.
    ///
    /// # Errors
    /// If one cannot be written.
    fn finish(&mut self, _out: &Path) -> Result<()> {
        Ok(())
    }
}

/// Writes a file, and creates its folder.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    create_folder_of(path)?;
    write_whole(path, bytes)
}

/// Creates the folder of a file.
pub(crate) fn create_folder_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder).map_err(Error::io(folder)),
        None => Ok(()),
    }
}

/// What was kept of each image, in the order of the images.
pub(super) struct Kept<T>(Vec<(usize, T)>);

impl<T> Kept<T> {
    pub(super) fn new() -> Self {
        Kept(Vec::new())
    }

    pub(super) fn keep(&mut self, index: usize, item: T) {
        self.0.push((index, item));
    }

    pub(super) fn in_order(&mut self) -> impl Iterator<Item = &T> {
        self.0.sort_by_key(|(index, _)| *index);
        self.0.iter().map(|(_, item)| item)
    }
}
