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
    /// Mean over the classes that the truth has a pixel of, of the share of their pixels labelled right.
    #[serde(default)]
    pub mean_accuracy: f64,
}

/// All scores of an evaluation. What its protocol does not know is `None` and left out when written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// The segmentation branch, one pass over the image.
    pub seg: LabelScores,
    /// The segmentation branch, fused over scales and mirror images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msc: Option<LabelScores>,
    /// The best of these, refined by the dense CRF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crf: Option<LabelScores>,
    /// The seeds, with the image's tags known.
    pub cam: LabelScores,
    /// The seeds refined by PAR against a constant background, with the image's tags known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub par: Option<LabelScores>,
    /// The seeds after a step along the predicted affinity, with the image's tags known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub afa: Option<LabelScores>,
    /// The propagated label `Y_c`, with the image's tags known.
    pub y_c: LabelScores,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// Images scored.
    pub images: usize,
}

impl Scores {
    /// The kinds of labels that were scored, with the heads of their columns.
    pub fn columns(&self) -> Vec<(&'static str, &LabelScores)> {
        let columns = [
            ("segmentation", Some(&self.seg)),
            ("fused", self.msc.as_ref()),
            ("+ CRF", self.crf.as_ref()),
            ("seeds", Some(&self.cam)),
            ("PAR", self.par.as_ref()),
            ("AFA", self.afa.as_ref()),
            ("Y_c", Some(&self.y_c)),
        ];
        columns.into_iter().filter_map(|(name, scores)| scores.map(|scores| (name, scores))).collect()
    }
}
