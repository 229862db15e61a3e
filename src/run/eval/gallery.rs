//! Samples kept during an evaluation, to be drawn.

use super::model::{MapValues, SeenMap};
use crate::data::{Mask, Rgb8};
use crate::error::Result;
use crate::run::report::{Cell, Map, Sample};

/// A few images with the maps that were computed for them.
#[derive(Default)]
pub struct Gallery {
    wanted: usize,
    items: Vec<Item>,
}

/// One image of a gallery.
pub struct Item {
    /// Its id and tags.
    pub caption: String,
    /// The image.
    pub image: Rgb8,
    /// The maps of the method that are drawn.
    pub maps: Vec<SeenMap>,
    /// Arg-max of the segmentation branch.
    pub prediction: Vec<u8>,
    /// The truth.
    pub truth: Mask,
}

impl Gallery {
    /// A gallery of up to `wanted` images.
    pub fn new(wanted: usize) -> Self {
        Gallery { wanted, items: Vec::new() }
    }

    /// How many images it shows.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Whether another image is wanted.
    pub fn has_room(&self) -> bool {
        self.items.len() < self.wanted
    }

    /// Adds an image.
    pub fn add(&mut self, item: Item) {
        self.items.push(item);
    }

    /// The images, ready to be drawn.
    ///
    /// # Errors
    /// If a map has another size than its image.
    pub fn samples(&self) -> Result<Vec<Sample<'_>>> {
        self.items.iter().map(Item::sample).collect()
    }
}

impl Item {
    fn sample(&self) -> Result<Sample<'_>> {
        let (height, width) = (self.image.height, self.image.width);
        let mut maps = Vec::new();
        for map in &self.maps {
            let cell = match &map.values {
                MapValues::Labels(labels) => Cell::Labels(Map::new(height, width, labels)?),
                MapValues::Heat(heat) => Cell::Heat(Map::new(height, width, heat)?),
            };
            maps.push((map.info.title, cell));
        }
        maps.push((Sample::PREDICTION, Cell::Labels(Map::new(height, width, &self.prediction)?)));
        maps.push((Sample::TRUTH, Cell::Labels(Map::new(height, width, &self.truth.data)?)));
        Ok(Sample { photo: self.image.clone(), maps, caption: self.caption.clone() })
    }
}
