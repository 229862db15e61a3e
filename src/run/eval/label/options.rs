//! The options of `tagseg label`.

use std::path::PathBuf;

use crate::engine::gpu::DeviceChoice;
use crate::method::{Methods, Protocol};
use crate::run::export::Form;

/// Options of `tagseg label`.
#[derive(Clone, Debug)]
pub struct LabelOptions {
    /// A run's folder or a checkpoint.
    pub network: PathBuf,
    /// Data set with tags; its masks, if it has some, only score the labels.
    pub data: PathBuf,
    /// Its split; `auto` is that of training.
    pub split: String,
    /// Folder for the labels.
    pub out: PathBuf,
    /// The name or the title of a map of labels: `seg`, the segmentation branch, or one of the method; without a name, the
    /// last one that is scored.
    pub kind: Option<String>,
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// Whether the dense CRF refines the labels.
    pub crf: bool,
    /// The forms of the labels.
    pub forms: Vec<Form>,
    /// Whether to copy the images, so that the labels are a data set to train on; `forms` may then be index PNGs and
    /// overlays only.
    pub images: bool,
    /// Only the first images of the split.
    pub limit: Option<usize>,
    /// Whether to skip images that do not decode, and masks that cannot be read.
    pub skip_broken: bool,
    /// Whether to replace files that exist.
    pub overwrite: bool,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Options of the evaluation to override, `key=value`.
    pub assignments: Vec<String>,
    /// Where the method of the run is found.
    pub methods: Methods,
}
