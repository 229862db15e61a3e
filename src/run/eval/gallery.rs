//! Samples kept during an evaluation, to be drawn.

use crate::data::{Mask, Rgb8};
use crate::error::Result;
use crate::run::report::{Map, Sample};

/// A few images with everything that was said of them.
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
    /// Strongest seed of the tagged classes.
    pub seed: Vec<f32>,
    /// Propagated label.
    pub y_c: Vec<u8>,
    /// Confident objects of the segmentation branch.
    pub y_s: Vec<u8>,
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

    /// Whether another image is wanted.
    pub fn has_room(&self) -> bool {
        self.items.len() < self.wanted
    }

    /// Hangs up an image.
    pub fn add(&mut self, item: Item) {
        self.items.push(item);
    }

    /// The images, ready to be drawn.
    ///
    /// # Errors
    /// If a map has another size than its image.
    pub fn samples(&self) -> Result<Vec<Sample<'_>>> {
        self.items
            .iter()
            .map(|item| {
                let (height, width) = (item.image.height, item.image.width);
                let labels = |data| Map::new(height, width, data).map(Some);
                Ok(Sample {
                    photo: crate::run::report::photo_of(&item.image)?,
                    seed: Some(Map::new(height, width, &item.seed)?),
                    y_c: labels(&item.y_c[..])?,
                    y_s: labels(&item.y_s[..])?,
                    prediction: labels(&item.prediction[..])?,
                    truth: labels(&item.truth.data[..])?,
                    caption: item.caption.clone(),
                })
            })
            .collect()
    }
}
