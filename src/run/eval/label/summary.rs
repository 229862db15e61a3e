//! What was labelled: counts and scores.

use std::path::PathBuf;

use serde::Serialize;

use super::options::LabelOptions;
use crate::data::{Dataset, Mask, VOID};
use crate::method::{MapInfo, Protocol};
use crate::run::eval::metrics::Confusion;
use crate::run::record::LabelScores;

/// What was labelled; also written as `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct LabelSummary {
    /// The network.
    pub network: PathBuf,
    /// The data set.
    pub data: PathBuf,
    /// Its split.
    pub split: String,
    /// The name of the map: `y_c`.
    pub kind: &'static str,
    /// Its title: `Y_c`.
    pub title: &'static str,
    /// `train` or `test`.
    pub protocol: &'static str,
    /// Whether the CRF refined it.
    pub crf: bool,
    /// Number of images.
    pub images: usize,
    /// Share of all pixels that are ignored (255).
    pub ignored: f64,
    /// The classes, background first.
    pub classes: Vec<LabelledClass>,
    /// Number of images with a mask.
    pub scored: usize,
    /// Agreement with the masks in pixels that the labels decide; `None` (null) without masks.
    pub scores: Option<LabelScores>,
}

/// A class in the labels.
#[derive(Clone, Debug, Serialize)]
pub struct LabelledClass {
    /// Its name.
    pub name: String,
    /// Its value in the label files.
    pub value: usize,
    /// Images with this tag; all images for the background.
    pub tagged: usize,
    /// Images whose label has a pixel of it.
    pub images: usize,
    /// Its share of all pixels.
    pub share: f64,
}

/// Counts over the labels so far.
pub(super) struct Tally {
    confusion: Confusion,
    scored: usize,
    /// Pixels by value.
    pixels: [u64; 256],
    /// Images whose label has a value.
    images: [usize; 256],
}

impl Tally {
    pub(super) fn new(dataset: &Dataset) -> Self {
        let confusion = Confusion::new(dataset.classes().len() + 1);
        Tally { confusion, scored: 0, pixels: [0; 256], images: [0; 256] }
    }

    pub(super) fn count(&mut self, dataset: &Dataset, index: usize, label: &Mask) {
        let counts = label.histogram();
        for (value, count) in counts.iter().enumerate() {
            self.pixels[value] += *count as u64;
            self.images[value] += usize::from(*count > 0);
        }
        // Masks that cannot be read were reported before.
        if let (true, Ok(truth)) = (dataset.has_mask(index), dataset.mask(index)) {
            self.confusion.add_pseudo_label(&truth.data, &label.data);
            self.scored += 1;
        }
    }

    pub(super) fn summary(self, dataset: &Dataset, kind: MapInfo, options: &LabelOptions) -> LabelSummary {
        let all: u64 = self.pixels.iter().sum();
        let share = |value: usize| self.pixels[value] as f64 / all as f64;
        let tagged = |value: usize| match value {
            0 => dataset.len(),
            class => (0..dataset.len()).filter(|index| dataset.tags(*index)[class - 1] > 0.5).count(),
        };
        let names = std::iter::once("background").chain(dataset.classes().iter().map(String::as_str));
        let class = |(value, name): (usize, &str)| LabelledClass {
            name: name.to_owned(),
            value,
            tagged: tagged(value),
            images: self.images[value],
            share: share(value),
        };
        LabelSummary {
            network: options.network.clone(),
            data: options.data.clone(),
            split: dataset.split().to_owned(),
            kind: kind.name,
            title: kind.title,
            protocol: match options.protocol {
                Protocol::Train => "train",
                Protocol::Test => "test",
            },
            crf: options.crf,
            images: dataset.len(),
            ignored: share(usize::from(VOID)),
            classes: names.enumerate().map(|(value, name)| class((value, name))).collect(),
            scored: self.scored,
            scores: (self.scored > 0).then(|| LabelScores::of(&self.confusion)),
        }
    }
}
