//! The registry of options, one row each. A row defines the field in [`Config`], the key on the command line and in
//! files, and the comment in written configurations. Names and defaults are those of method.md 15.

use std::collections::BTreeMap;

use super::memory::MemoryLimit;
use super::modes::*;
use super::value::Limit::{Above, Any, AtLeast, Below, Iterations, Within};
use super::value::{Limit, OptionValue};
use crate::error::{Error, Result};

/// One row of the registry.
pub struct OptionInfo {
    /// Dotted name, as in files and `--set`.
    pub name: &'static str,
    /// Meaning, in one line.
    pub doc: &'static str,
    /// Range of numeric values.
    pub limit: Limit,
    kind: fn() -> String,
    /// Reads a value into its field; `Err` is empty because the row provides the allowed values.
    assign: fn(&mut Config, &toml::Value) -> Result<(), ()>,
    write: fn(&Config) -> String,
    numbers: fn(&Config) -> Vec<f64>,
}

macro_rules! options {
    ($( #[doc = $doc:literal] $name:literal $field:ident: $type:ty = $default:expr $(, $limit:expr)?; )+) => {
        /// Every option of a run, with plain typed fields. The field of `schedule.n_c2s` is `schedule_n_c2s`.
        #[derive(Debug, Clone)]
        pub struct Config {
            $( #[doc = concat!("`", $name, "`:", $doc)] pub $field: $type, )+
            /// Options that are shares of `train.iters`, with their share.
            pub(super) shares: BTreeMap<&'static str, f64>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: $default, )+ shares: SHARES.into() }
            }
        }

        static OPTIONS: &[OptionInfo] = &[$( OptionInfo {
            name: $name,
            doc: $doc,
            limit: [$( $limit, )? Any][0],
            kind: <$type>::kind,
            assign: |config, value| {
                config.$field = <$type as OptionValue>::read(value).ok_or(())?;
                Ok(())
            },
            write: |config| config.$field.write(),
            numbers: |config| config.$field.numbers(),
        }, )+];
    };
}

/// The defaults that are shares of `train.iters`: a shorter or longer run keeps the proportions of the published one.
const SHARES: [(&str, f64); 7] = [
    ("schedule.n_c2s", 0.1),
    ("schedule.n_s2c", 0.1),
    ("schedule.n_bsp", 0.2),
    ("optim.warmup_iters", 0.075),
    ("train.eval_every", 0.1),
    ("train.save_every", 0.1),
    ("train.log_every", 0.01),
];

options! {
    /// Method: `bmp`; `afa`, which propagates seeds by a random walk; or `segformer`, which learns from masks.
    "method.name" method_name: String = "bmp".into();

    /// Encoder; `nano` trains from scratch, `mit_b0` to `mit_b5` and `efficientnet_lite0` to `_lite2` from ImageNet weights.
    "model.backbone" model_backbone: String = "mit_b1".into();
    /// Strides of MiT's four patch embeddings; their product is the side of a last-stage token in pixels.
    "model.strides" model_strides: [usize; 4] = [4, 2, 2, 1], Within(1.0, 32.0);
    /// Number of decoder channels.
    "model.embed_dim" model_embed_dim: usize = 256, Within(1.0, 16_384.0);
    /// Initial weights of the encoder unless `--weights` is given: random, or those that come with tagseg (Lite0's).
    "model.start" model_start: Start = Start::Random;
    /// Number of the encoder's first levels whose weights stay as they are.
    "model.frozen_levels" model_frozen_levels: usize = 0;
    /// Pooling before the classifier: global max or global average.
    "model.pooling" model_pooling: Pooling = Pooling::Gmp;
    /// Bound of the classifier's random initial weights, as a multiple of 1/√C for C channels.
    "model.classifier_init" model_classifier_init: f64 = 1.0, AtLeast(0.0);

    /// Object-aware prior on the decoder's input.
    "ofd.mode" ofd_mode: OfdMode = OfdMode::Released;

    /// Scales of the passes that produce pseudo labels; 1 always runs first.
    "ms.scales" ms_scales: Vec<f64> = vec![1.0, 0.5, 1.5], Within(0.01, 16.0);
    /// Mode of the network in these passes; `train` also updates running statistics.
    "ms.mode" ms_mode: MsMode = MsMode::Train;

    /// Propagation of seeds into Y_c by method bmp from iteration schedule.n_bsp on.
    "propagation" propagation: Propagation = Propagation::Bsp;
    /// Logits that provide the background map of BSP.
    "bsp.bg" bsp_bg: BspBackground = BspBackground::MultiScale;

    /// Iterations of pixel-adaptive refinement (PAR).
    "par.iters" par_iters: usize = 10, Within(1.0, 1000.0);
    /// Dilations of PAR's eight-pixel neighbourhood.
    "par.dilations" par_dilations: Vec<usize> = vec![1, 2, 4, 8, 12, 24], Within(1.0, 1024.0);
    /// Width of PAR's colour and position kernels.
    "par.w1" par_w1: f64 = 0.3, Above(0.0);
    /// Weight of PAR's position kernel relative to the colour kernel.
    "par.w2" par_w2: f64 = 0.01, AtLeast(0.0);

    /// Background score in Y_par: pixels where a class exceeds it are foreground.
    "cam.high" cam_high: f64 = 0.55, Within(0.0, 1.0);
    /// Background score in Y_par: pixels where no class exceeds it are background; those in between are ignored.
    "cam.low" cam_low: f64 = 0.35, Within(0.0, 1.0);
    /// Background score of the seeds in evaluations.
    "cam.bkg" cam_bkg: f64 = 0.45, Within(0.0, 1.0);

    /// Minimum propagated score of a labelled pixel in Y_c; pixels below are ignored.
    "sigma_c" sigma_c: f64 = 0.5;
    /// Divide propagated scores by PAR's gain (1.01 per iteration) before comparing them with sigma_c.
    "sigma_c.renormalise" sigma_c_renormalise: bool = false;
    /// Minimum segmentation score of a labelled pixel in Y_s; pixels below are ignored.
    "sigma_s" sigma_s: f64 = 0.75;
    /// Segmentation score that is compared with sigma_s.
    "sigma_s.domain" sigma_s_domain: SigmaSDomain = SigmaSDomain::Logit;
    /// Remove classes from Y_s that are not among the image's tags.
    "ys.filter_by_labels" ys_filter_by_labels: bool = false;
    /// Forward pass that Y_s is computed from.
    "ys.source" ys_source: YsSource = YsSource::TrainPass;

    /// Weight of present tags in the classification loss; absent ones have weight 1.
    "cls.pos_weight" cls_pos_weight: f64 = 1.0, Above(0.0);
    /// Loss of the segmentation branch against Y_c.
    "c2s.kind" c2s_kind: LossKind = LossKind::Bce;
    /// Loss of the classification branch against Y_s.
    "s2c.kind" s2c_kind: LossKind = LossKind::Ce;
    /// Map that Y_s supervises: the seed logits, or the seed logits propagated by BSP, with background.
    "s2c.map" s2c_map: S2cMap = S2cMap::CamLogits;
    /// Maximum Chebyshev distance of affinity pairs on the last stage's grid.
    "aff.radius" aff_radius: usize = 8, AtLeast(1.0);
    /// Label that defines positive and negative affinity pairs.
    "aff.label" aff_label: AffLabel = AffLabel::YPar;
    /// Weights of the c2s, s2c and affinity losses; the classification loss has weight 1.
    "lambda" lambda: [f64; 3] = [0.7, 0.1, 0.1], AtLeast(0.0);
    /// Number of images over which c2s, s2c and affinity losses are normalised; must divide batch.global.
    "loss.replica_size" loss_replica_size: usize = 2, AtLeast(1.0);

    /// Start the c2s and affinity losses after this iteration (counted from 0).
    "schedule.n_c2s" schedule_n_c2s: usize = 2000, Iterations(0);
    /// Start the s2c loss after this iteration.
    "schedule.n_s2c" schedule_n_s2c: usize = 2000, Iterations(0);
    /// Replace fixed thresholds by propagation from this iteration on.
    "schedule.n_bsp" schedule_n_bsp: usize = 4000, Iterations(0);

    /// Learning rate of the encoder (AdamW).
    "optim.lr" optim_lr: f64 = 6e-5, AtLeast(0.0);
    /// Learning rate of the heads and the decoder, as a multiple of optim.lr.
    "optim.head_factor" optim_head_factor: f64 = 10.0, AtLeast(0.0);
    /// Learning rate of the classifier and the affinity head, as a multiple of that of the decoder.
    "optim.classifier_factor" optim_classifier_factor: f64 = 1.0, AtLeast(0.0);
    /// Learning rate of the encoder's norm layers, as a multiple of optim.lr; 0 freezes them.
    "optim.norm_lr_factor" optim_norm_lr_factor: f64 = 0.0, AtLeast(0.0);
    /// Decoupled weight decay of all parameters except the encoder's norm layers.
    "optim.weight_decay" optim_weight_decay: f64 = 0.01, AtLeast(0.0);
    /// Decay rate of AdamW's first moment.
    "optim.beta1" optim_beta1: f64 = 0.9, Below(0.0, 1.0);
    /// Decay rate of AdamW's second moment.
    "optim.beta2" optim_beta2: f64 = 0.999, Below(0.0, 1.0);
    /// Constant added to the square root of AdamW's second moment.
    "optim.eps" optim_eps: f64 = 1e-8, Above(0.0);
    /// Iterations of linear learning rate warm-up.
    "optim.warmup_iters" optim_warmup_iters: usize = 1500, Iterations(0);
    /// Learning rate at the start of warm-up, as a multiple of the full rate.
    "optim.warmup_ratio" optim_warmup_ratio: f64 = 1e-6, Within(0.0, 1.0);
    /// Power of the polynomial learning rate decay after warm-up.
    "optim.power" optim_power: f64 = 1.0, AtLeast(0.0);

    /// Images per step.
    "batch.global" batch_global: usize = 8, Within(1.0, 4096.0);
    /// Images per micro-batch; 0 selects the whole batch, or the largest micro-batch that fits the device.
    "batch.micro" batch_micro: usize = 0;
    /// Ranks that divide every step: equal groups of neighbouring images, one a process under mpirun or all in this one.
    "batch.ranks" batch_ranks: usize = 1, Within(1.0, 4096.0);
    /// Seconds that a rank waits for another process before it ends all of them; 0 waits for ever.
    "train.rank_timeout" train_rank_timeout: usize = 600, Within(0.0, 1e9);
    /// Number of training steps.
    "train.iters" train_iters: usize = 20_000, Within(1.0, 1e7);
    /// Side of the square training crop in pixels, a multiple of the token side (16 with the released strides).
    "train.crop" train_crop: usize = 512, Within(32.0, 8192.0);
    /// Limit of a step's device memory; to stay below it, cheap values are recomputed for the gradient.
    "train.memory" train_memory: MemoryLimit = MemoryLimit(None);
    /// Storage of the network's features; `mixed` stores them in half precision, everything else in f32.
    "train.precision" train_precision: Precision = Precision::F32;
    /// Steps between evaluations, which also write a checkpoint and pictures; the last step is always evaluated.
    "train.eval_every" train_eval_every: usize = 2000, Iterations(1);
    /// Steps between checkpoints, in addition to those of evaluations; a killed run loses at most this many.
    "train.save_every" train_save_every: usize = 2000, Iterations(1);
    /// Steps between lines of metrics.jsonl.
    "train.log_every" train_log_every: usize = 200, Iterations(1);
    /// Whether losses, rates, scores and pictures are also written as event files, for TensorBoard.
    "train.tensorboard" train_tensorboard: bool = false;
    /// Number of newest checkpoints to keep, besides the best; 0 keeps all.
    "train.keep" train_keep: usize = 2;
    /// Evaluations without a better score after which the run ends; 0 trains to the last step.
    "train.patience" train_patience: usize = 0;
    /// Random seed of weights, shuffling, augmentation and dropout.
    "seed" seed: u64 = 1;

    /// Form of the data set; `auto` finds it out, and refuses a folder that has two.
    "data.form" data_form: DataForm = DataForm::Auto;
    /// Split to train on; `auto` selects train_aug if it exists, otherwise train.
    "data.train_split" data_train_split: String = "auto".into();
    /// Turn images as their EXIF orientation says, also where they have masks, which must be turned already.
    "data.upright" data_upright: bool = false;
    /// Long side in pixels that images are resized to before anything else; 0 keeps each image's own size.
    "data.long_side" data_long_side: usize = 0, Within(0.0, 16_384.0);
    /// Range of the random scale of training images, relative to that size.
    "data.scale" data_scale: [f64; 2] = [0.5, 2.0], Within(0.01, 16.0);
    /// Draw training images so that every class is seen alike, rare ones several times an epoch.
    "data.balance" data_balance: bool = false;
    /// Mirror training images horizontally at random.
    "data.flip" data_flip: bool = true;

    /// Long side in pixels that images are resized to in the final test; 0 keeps their size.
    "test.long_side" test_long_side: usize = 512, Within(0.0, 16_384.0);
    /// Scales of the final test, relative to that size.
    "test.scales" test_scales: Vec<f64> = vec![1.0, 0.5, 0.75], Within(0.01, 16.0);
    /// Average every test pass with that of the mirrored image.
    "test.flip" test_flip: bool = true;
    /// Fusion of the test scales.
    "test.fuse" test_fuse: Fuse = Fuse::Max;

    /// Iterations of the dense CRF.
    "crf.iterations" crf_iterations: usize = 10, Within(0.0, 1000.0);
    /// Weight and width in pixels of the CRF's position kernel.
    "crf.gauss" crf_gauss: [f64; 2] = [3.0, 3.0], AtLeast(0.1);
    /// Weight, width in pixels and width in grey levels of the CRF's bilateral kernel.
    "crf.bilateral" crf_bilateral: [f64; 3] = [4.0, 64.0, 5.0], AtLeast(0.1);
}

impl Config {
    /// Every option, in the order of the written configuration.
    pub fn options() -> &'static [OptionInfo] {
        OPTIONS
    }
}

impl OptionInfo {
    /// The row of the option called `name`.
    ///
    /// # Errors
    /// [`Error::Config`] with the most similar name if there is none.
    pub fn find(name: &str) -> Result<&'static OptionInfo> {
        if let Some(option) = OPTIONS.iter().find(|option| option.name == name) {
            return Ok(option);
        }
        // `iters` should find `train.iters`, so the last part of a name is compared as well.
        let likeness = |option: &OptionInfo| {
            let last = option.name.rsplit('.').next().unwrap_or(option.name);
            strsim::jaro_winkler(option.name, name).max(strsim::jaro_winkler(last, name))
        };
        let nearest = OPTIONS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let remedy = nearest.map_or(String::new(), |option| format!("did you mean `{}`? ", option.name));
        Err(Error::config(name, "there is no such option", format!("{remedy}`tagseg config` lists all options")))
    }

    /// The allowed values, as the object of "give …".
    pub fn allowed(&self) -> String {
        format!("{}{}", (self.kind)(), self.limit)
    }

    /// The one-line meaning, followed by the choices if there are any.
    pub fn summary(&self) -> String {
        let (doc, allowed) = (self.doc.trim(), (self.kind)());
        let choices = allowed.contains(" or ") && allowed != bool::kind();
        if choices { format!("{doc} ({allowed})") } else { doc.to_owned() }
    }

    /// The share of the run that `value` stands for (`"20%"` is 0.2), if this option counts iterations.
    pub(super) fn share_of_run(&self, value: &toml::Value) -> Option<f64> {
        if !matches!(self.limit, Limit::Iterations(_)) {
            return None;
        }
        let percent: f64 = value.as_str()?.strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
    }

    /// Sets the option's field in `config`.
    ///
    /// # Errors
    /// [`Error::Config`] with the allowed values if `value` has the wrong type or is out of range.
    pub(super) fn read(&self, config: &mut Config, value: &toml::Value) -> Result<()> {
        let mut changed = config.clone();
        match (self.assign)(&mut changed, value) {
            Ok(()) if self.in_range(&changed) => {
                *config = changed;
                Ok(())
            }
            _ => Err(self.refuse(&value.to_string())),
        }
    }

    /// The option's value in `config` as a TOML literal.
    pub fn write(&self, config: &Config) -> String {
        (self.write)(config)
    }

    /// Whether the option's value in `config` is within its limit.
    pub(super) fn in_range(&self, config: &Config) -> bool {
        (self.numbers)(config).into_iter().all(|number| self.limit.holds(number))
    }

    /// The error for a value that is not allowed.
    pub(super) fn refuse(&self, value: &str) -> Error {
        Error::config(self.name, format!("{} is not allowed", value.trim()), format!("give {}", self.allowed()))
    }
}
