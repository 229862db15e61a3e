//! The scores of an evaluation, in the form `eval --json` prints.

use serde::{Deserialize, Serialize};

/// Agreement of one kind of label with the truth, as fractions (spec 9.1).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LabelScores {
    /// Mean IoU over the classes that the truth has a pixel of.
    pub miou: f64,
    /// IoU of every class, background first; `None` (null) where the truth has no pixel.
    pub iou: Vec<Option<f64>>,
    /// Share of pixels labelled right.
    pub pixel_accuracy: f64,
}

/// All scores of an evaluation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// The segmentation branch.
    pub seg: LabelScores,
    /// The seeds, with the image's tags known.
    pub cam: LabelScores,
    /// The propagated label `Y_c`, with the image's tags known.
    pub y_c: LabelScores,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// Images scored.
    pub images: usize,
}
