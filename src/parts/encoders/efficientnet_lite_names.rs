//! The names of EfficientNet-Lite's modules in the files of timm (`tf_efficientnet_lite0` and its like). The native
//! names are those of the files that were published for PyTorch.

use super::names::Share::Whole;
use super::names::{ModuleName, NamesElsewhere, Numbering};

/// Those of all sizes.
pub(super) static NAMES: [NamesElsewhere; 1] = [NamesElsewhere {
    layout: "timm",
    original: "original EfficientNet-Lite encoder",
    stages: 7,
    numbering: Numbering::Running,
    written: false,
    modules: &TIMM,
    classifier: &["_conv_head", "_bn1", "_fc", "conv_head", "bn2"],
}];

/// The only block of the first stage, which does not widen, numbers its convolutions otherwise.
const TIMM: [ModuleName; 12] = [
    ("encoder._conv_stem", "conv_stem", Whole),
    ("encoder._bn0", "bn1", Whole),
    ("encoder._blocks.0._depthwise_conv", "blocks.0.0.conv_dw", Whole),
    ("encoder._blocks.0._bn1", "blocks.0.0.bn1", Whole),
    ("encoder._blocks.0._project_conv", "blocks.0.0.conv_pw", Whole),
    ("encoder._blocks.0._bn2", "blocks.0.0.bn2", Whole),
    ("encoder._blocks.{j}._expand_conv", "blocks.{i}.{j}.conv_pw", Whole),
    ("encoder._blocks.{j}._bn0", "blocks.{i}.{j}.bn1", Whole),
    ("encoder._blocks.{j}._depthwise_conv", "blocks.{i}.{j}.conv_dw", Whole),
    ("encoder._blocks.{j}._bn1", "blocks.{i}.{j}.bn2", Whole),
    ("encoder._blocks.{j}._project_conv", "blocks.{i}.{j}.conv_pwl", Whole),
    ("encoder._blocks.{j}._bn2", "blocks.{i}.{j}.bn3", Whole),
];
