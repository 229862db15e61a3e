//! The scores of an evaluation, in the form `eval --json` prints.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::lines::EvalScores;

/// What an evaluation says that has no score.
const NOTHING_SCORED: &str = "no pixel is scored: the masks hold 255 (void) alone";

/// Agreement of one kind of label with the truth, as fractions (method.md 9.1). A mean over nothing is NaN, in JSON null.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct LabelScores {
    /// Mean IoU over the classes that occur in the truth.
    pub miou: f64,
    /// IoU of every class, background first; `None` (null) of a class that neither truth nor labels have.
    pub iou: Vec<Option<f64>>,
    /// Share of pixels labelled correctly.
    pub pixel_accuracy: f64,
    /// Mean recall of the classes that occur in the truth: the share of their pixels labelled correctly.
    pub mean_accuracy: f64,
}

/// The scores of a map of labels, by the names that the method gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct MapScores {
    /// The name of the map: `cam`.
    pub name: String,
    /// The title of its column: `seeds`.
    pub title: String,
    /// Whether the record, the report page and the ablation show its mean IoU.
    pub headline: bool,
    /// The scores.
    pub scores: LabelScores,
}

/// All scores of an evaluation. Scores that the protocol or the method does not provide are omitted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// Every map of labels, in the order of tables: the segmentation of one pass, then fused and refined, then
    /// the maps of the method, which use the images' tags.
    pub maps: Vec<MapScores>,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// Images scored.
    pub images: usize,
}

impl Scores {
    /// The name of the single-pass segmentation, which every method has.
    pub const SEG: &'static str = "seg";

    /// The scores of a map.
    pub fn get(&self, name: &str) -> Option<&LabelScores> {
        self.maps.iter().find(|map| map.name == name).map(|map| &map.scores)
    }

    /// The maps whose mean IoU is reported.
    pub fn headlines(&self) -> impl Iterator<Item = &MapScores> {
        self.maps.iter().filter(|map| map.headline)
    }

    /// A notice if no pixel of the truth is a class, so that there is no score of labels.
    pub fn notice(&self) -> Option<&'static str> {
        let scored = self.maps.iter().any(|map| !map.scores.pixel_accuracy.is_nan());
        (!self.maps.is_empty() && !scored).then_some(NOTHING_SCORED)
    }

    /// Their mean IoU as text: `mIoU segmentation 0.512, seeds 0.430`.
    pub fn in_words(&self) -> String {
        let scored = |map: &&MapScores| !map.scores.miou.is_nan();
        let score = |map: &MapScores| format!("{} {:.3}", map.title, map.scores.miou);
        match self.headlines().filter(scored).map(score).collect::<Vec<_>>() {
            words if words.is_empty() => NOTHING_SCORED.to_owned(),
            words => format!("mIoU {}", words.join(", ")),
        }
    }

    /// The scores that are written to the record.
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
