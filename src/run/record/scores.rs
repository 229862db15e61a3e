//! The scores of an evaluation, in the form `eval --json` prints.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::lines::EvalScores;

/// Agreement of one kind of label with the truth, as fractions (method.md 9.1). A mean over nothing is NaN, in JSON null.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LabelScores {
    /// Mean IoU over the classes that the truth has a pixel of.
    pub miou: f64,
    /// IoU of every class, background first; `None` (null) of a class that neither truth nor labels have.
    pub iou: Vec<Option<f64>>,
    /// Share of pixels labelled right.
    pub pixel_accuracy: f64,
    /// Mean over the classes that the truth has a pixel of, of the share of their pixels labelled right.
    pub mean_accuracy: f64,
}

/// The scores of a map of labels, by the names that the method gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct MapScores {
    /// The name of the map: `cam`.
    pub name: String,
    /// The head of its column: `seeds`.
    pub title: String,
    /// Whether its mean IoU stands in the record, the page and the ladder.
    pub headline: bool,
    /// The scores.
    pub scores: LabelScores,
}

/// All scores of an evaluation. What its protocol or its method does not know is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// Every kind of labels, in the order of tables: the segmentation of one pass first, then fused and refined, then
    /// the maps of the method, which know the images' tags.
    pub maps: Vec<MapScores>,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// Images scored.
    pub images: usize,
}

impl Scores {
    /// The name of the segmentation of one pass over the image, which every method has.
    pub const SEG: &'static str = "seg";

    /// The scores of a map.
    pub fn get(&self, name: &str) -> Option<&LabelScores> {
        self.maps.iter().find(|map| map.name == name).map(|map| &map.scores)
    }

    /// The maps of which one number is reported.
    pub fn headlines(&self) -> impl Iterator<Item = &MapScores> {
        self.maps.iter().filter(|map| map.headline)
    }

    /// Their mean IoU in words: `mIoU segmentation 0.512, seeds 0.430`.
    pub fn in_words(&self) -> String {
        let words: Vec<_> = self.headlines().map(|map| format!("{} {:.3}", map.title, map.scores.miou)).collect();
        format!("mIoU {}", words.join(", "))
    }

    /// What the record keeps.
    pub fn for_record(&self) -> EvalScores {
        EvalScores {
            miou: self.headlines().map(|map| (map.name.clone(), map.scores.miou)).collect(),
            cls_f1: self.cls_f1,
            seg_iou: self.get(Self::SEG).map(|seg| seg.iou.clone()).unwrap_or_default(),
        }
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for map in &self.maps {
            object.serialize_entry(&map.name, &map.scores)?;
        }
        object.serialize_entry("cls_f1", &self.cls_f1)?;
        object.serialize_entry("images", &self.images)?;
        object.end()
    }
}
