//! Options with named values.

use std::fmt;

use super::value::OptionValue;
use crate::engine::graph::Storage;

macro_rules! modes {
    ($(
        $(#[doc = $doc:literal])+
        $mode:ident { $( #[doc = $case_doc:literal] $case:ident = $name:literal, )+ }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $mode { $( #[doc = $case_doc] $case, )+ }

        impl $mode {
            /// Every value.
            pub const ALL: &[Self] = &[$( Self::$case, )+];

            /// The name used in configurations.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$case => $name, )+ }
            }
        }

        impl fmt::Display for $mode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl OptionValue for $mode {
            fn read(value: &toml::Value) -> Option<Self> {
                let name = value.as_str()?;
                Self::ALL.iter().copied().find(|mode| mode.name() == name)
            }

            fn write(&self) -> String {
                format!("\"{self}\"")
            }

            fn kind() -> String {
                let names = [$( $name, )+];
                let (last, others) = (names[names.len() - 1], &names[..names.len() - 1]);
                format!("{} or {last}", others.join(", "))
            }
        }
    )+};
}

modes! {
    /// Pooling of the last feature map to one vector per image (method.md 2.1, step 4).
    Pooling {
        /// Global max.
        Gmp = "gmp",
        /// Global average.
        Gap = "gap",
    }

    /// The weights that training starts from unless a file is given.
    Start {
        /// Random numbers.
        Random = "random",
        /// The encoder's, which come with this program.
        Bundled = "bundled",
    }

    /// The form of a data set (docs/data.md).
    DataForm {
        /// Whatever the folder is found to be.
        Auto = "auto",
        /// PASCAL VOC.
        Voc = "voc",
        /// MS-COCO.
        Coco = "coco",
        /// YOLO.
        Yolo = "yolo",
        /// Label Studio's JSON.
        LabelStudio = "label_studio",
        /// CVAT's XML for images.
        Cvat = "cvat",
        /// JSON lines.
        Jsonl = "jsonl",
        /// CSV and TSV.
        Csv = "csv",
        /// Images with `labels.json` beside them.
        Labels = "labels",
        /// A folder for each class.
        Folders = "folders",
    }

    /// The object-aware prior on the decoder's input (method.md 2.3).
    OfdMode {
        /// Sigmoid of the largest seed, resized via the input resolution, detached.
        Released = "released",
        /// The largest low-resolution seed, resized directly.
        Paper = "paper",
        /// No prior.
        Off = "off",
    }

    /// Mode of the network in the multi-scale passes of a training step (method.md 3.2).
    MsMode {
        /// Dropout, drop path and batch statistics active, as released.
        Train = "train",
        /// Evaluation mode; running statistics do not change.
        Eval = "eval",
    }

    /// Propagation of seeds into `Y_c` from `schedule.n_bsp` on (method.md 5.2).
    Propagation {
        /// Background-aware spatial propagation.
        Bsp = "bsp",
        /// Fixed-threshold PAR labels throughout.
        Par = "par",
    }

    /// The score that `sigma_s` is compared with (method.md 11, row 2).
    SigmaSDomain {
        /// The raw logit, as released.
        Logit = "logit",
        /// A probability: sigmoid under `bce`, softmax under `ce`.
        Prob = "prob",
    }

    /// The source of `Y_s` (method.md 5.3).
    YsSource {
        /// The differentiable single-scale pass, as released.
        TrainPass = "train_pass",
        /// The multi-scale passes.
        MultiScale = "multi_scale",
    }

    /// Form of a segmentation loss (method.md 6.2, 6.4).
    LossKind {
        /// Sigmoid of every channel against the one-hot label.
        Bce = "bce",
        /// Softmax cross-entropy.
        Ce = "ce",
    }

    /// The map that `Y_s` supervises (method.md 6.4).
    S2cMap {
        /// The seed logits before any propagation, as released.
        CamLogits = "cam_logits",
        /// The seed logits propagated by BSP: K + 1 classes, 0 for classes without a tag; `Y_s` includes background.
        Propagated = "propagated",
    }

    /// The label of the affinity loss (method.md 6.3).
    AffLabel {
        /// The fixed-threshold PAR label, always.
        YPar = "y_par",
        /// The label that supervises the segmentation branch.
        YC = "y_c",
    }

    /// The background map of BSP (method.md 4.5 and 11, row 11).
    BspBackground {
        /// Channel 0 of the fused multi-scale logits, as released.
        MultiScale = "multi_scale",
        /// Channel 0 of the single-scale logits.
        SingleScale = "single_scale",
    }

    /// Storage of the network's features on the device.
    Precision {
        /// 32 bits.
        F32 = "f32",
        /// 16 bits where the kernels support it; arithmetic, maps, labels, gradients and weights use 32 bits.
        Mixed = "mixed",
    }

    /// Fusion of the scales of the final test (method.md 9.3).
    Fuse {
        /// Element-wise max, as released.
        Max = "max",
        /// Sum.
        Sum = "sum",
    }
}

#[expect(clippy::derivable_impls, reason = "the macro derives no default")]
impl Default for DataForm {
    fn default() -> Self {
        DataForm::Auto
    }
}

impl S2cMap {
    /// The class of the map's channel 0; seeds have no background channel.
    pub fn first_class(self) -> usize {
        match self {
            S2cMap::CamLogits => 1,
            S2cMap::Propagated => 0,
        }
    }
}

impl Precision {
    /// The storage type of features.
    pub fn features(self) -> Storage {
        match self {
            Precision::F32 => Storage::Whole,
            Precision::Mixed => Storage::Half,
        }
    }
}
