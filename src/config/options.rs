//! The registry: one row an option. A row gives [`Config`] its field, the command line and files their key, and the
//! written configuration its comment. Names and defaults are those of spec section 15.

use std::collections::BTreeMap;

use super::memory::MemoryLimit;
use super::modes::*;
use super::value::Limit::{Above, Any, AtLeast, Below, Iterations, Within};
use super::value::{Limit, Value};
use crate::error::{Error, Result};

/// One row of the registry.
pub struct OptionInfo {
    /// Dotted name, as in files and `--set`.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Range of its numbers.
    pub limit: Limit,
    kind: fn() -> String,
    /// Reads a value into its field; `Err` holds nothing, since the row itself knows what is allowed.
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
            /// Options that follow `train.iters`, with their share of it.
            pub(super) shares: BTreeMap<&'static str, f64>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $( $field: $default, )+ shares: BTreeMap::new() }
            }
        }

        static OPTIONS: &[OptionInfo] = &[$( OptionInfo {
            name: $name,
            doc: $doc,
            limit: [$( $limit, )? Any][0],
            kind: <$type>::kind,
            assign: |config, value| {
                config.$field = <$type as Value>::read(value).ok_or(())?;
                Ok(())
            },
            write: |config| config.$field.write(),
            numbers: |config| config.$field.numbers(),
        }, )+];
    };
}

options! {
    /// Encoder; `nano` trains from scratch, the others are meant for ImageNet weights.
    "model.backbone" model_backbone: Backbone = Backbone::MitB1;
    /// Strides of the four patch embeddings; their product is the side of a token of the last stage in pixels.
    "model.strides" model_strides: [usize; 4] = [4, 2, 2, 1], Within(1.0, 32.0);
    /// Channels of the decoder.
    "model.embed_dim" model_embed_dim: usize = 256, Within(1.0, 16_384.0);
    /// Pooling in front of the classifier.
    "model.pooling" model_pooling: Pooling = Pooling::Gmp;

    /// Object-aware prior on the decoder's input.
    "ofd.mode" ofd_mode: OfdMode = OfdMode::Released;

    /// Scales of the label-making passes; 1 always runs first.
    "ms.scales" ms_scales: Vec<f64> = vec![1.0, 0.5, 1.5], Within(0.01, 16.0);
    /// Mode of the network in these passes; `train` also updates the running statistics.
    "ms.mode" ms_mode: MsMode = MsMode::Train;

    /// What the label Y_c is made of; true masks give an upper bound of what tags can reach.
    "yc.source" yc_source: YcSource = YcSource::Seeds;
    /// How seeds become the label Y_c once schedule.n_bsp is reached.
    "propagation" propagation: Propagation = Propagation::Bsp;
    /// Background map of BSP.
    "bsp.bg" bsp_bg: BspBackground = BspBackground::MultiScale;

    /// Iterations of pixel-adaptive refinement (PAR).
    "par.iters" par_iters: usize = 10, Within(1.0, 1000.0);
    /// Dilations of PAR's rings of eight neighbours.
    "par.dilations" par_dilations: Vec<usize> = vec![1, 2, 4, 8, 12, 24], Within(1.0, 1024.0);
    /// Width of PAR's colour and position kernels.
    "par.w1" par_w1: f64 = 0.3, Above(0.0);
    /// Weight of PAR's position kernel against the colour kernel.
    "par.w2" par_w2: f64 = 0.01, AtLeast(0.0);

    /// Background score that a seed must beat to be foreground in Y_par.
    "cam.high" cam_high: f64 = 0.55, Within(0.0, 1.0);
    /// Background score below which nothing is background for sure in Y_par.
    "cam.low" cam_low: f64 = 0.35, Within(0.0, 1.0);
    /// Background score of seeds in evaluations.
    "cam.bkg" cam_bkg: f64 = 0.45, Within(0.0, 1.0);

    /// Y_c keeps a pixel whose propagated score reaches this.
    "sigma_c" sigma_c: f64 = 0.5;
    /// Divide propagated scores by PAR's gain of 1.01 an iteration before sigma_c.
    "sigma_c.renormalise" sigma_c_renormalise: bool = false;
    /// Y_s keeps a pixel whose segmentation score reaches this.
    "sigma_s" sigma_s: f64 = 0.75;
    /// Score that sigma_s is compared with.
    "sigma_s.domain" sigma_s_domain: SigmaSDomain = SigmaSDomain::Logit;
    /// Remove classes that the image's tags do not name from Y_s.
    "ys.filter_by_labels" ys_filter_by_labels: bool = false;
    /// Pass that Y_s is taken from.
    "ys.source" ys_source: YsSource = YsSource::TrainPass;

    /// Loss of the segmentation branch against Y_c.
    "c2s.kind" c2s_kind: LossKind = LossKind::Bce;
    /// Loss of the classification branch against Y_s.
    "s2c.kind" s2c_kind: LossKind = LossKind::Ce;
    /// Map that Y_s supervises: the seed logits, or what BSP makes of them, with background.
    "s2c.map" s2c_map: S2cMap = S2cMap::CamLogits;
    /// Affinity pairs lie within this Chebyshev distance on the last stage's grid.
    "aff.radius" aff_radius: usize = 8, AtLeast(1.0);
    /// Label that says which pairs belong together.
    "aff.label" aff_label: AffLabel = AffLabel::YPar;
    /// Weights of the losses c2s, s2c and affinity; the classification loss has weight 1.
    "lambda" lambda: [f64; 3] = [0.7, 0.1, 0.1], AtLeast(0.0);
    /// Images that share one normalisation of c2s, s2c and affinity; divides batch.global.
    "loss.replica_size" loss_replica_size: usize = 2, AtLeast(1.0);

    /// c2s and affinity start after this iteration (counted from 0).
    "schedule.n_c2s" schedule_n_c2s: usize = 2000, Iterations(0);
    /// s2c starts after this iteration.
    "schedule.n_s2c" schedule_n_s2c: usize = 2000, Iterations(0);
    /// Propagation takes over from fixed thresholds at this iteration.
    "schedule.n_bsp" schedule_n_bsp: usize = 4000, Iterations(0);

    /// Learning rate of the encoder (AdamW).
    "optim.lr" optim_lr: f64 = 6e-5, AtLeast(0.0);
    /// Learning rate of heads and decoder, as a multiple of optim.lr.
    "optim.head_factor" optim_head_factor: f64 = 10.0, AtLeast(0.0);
    /// Learning rate of the encoder's norms, as a multiple of optim.lr; 0 freezes them. They never decay.
    "optim.norm_lr_factor" optim_norm_lr_factor: f64 = 0.0, AtLeast(0.0);
    /// Decoupled weight decay, on everything but the encoder's norms.
    "optim.weight_decay" optim_weight_decay: f64 = 0.01, AtLeast(0.0);
    /// Decay of the first moment.
    "optim.beta1" optim_beta1: f64 = 0.9, Below(0.0, 1.0);
    /// Decay of the second moment.
    "optim.beta2" optim_beta2: f64 = 0.999, Below(0.0, 1.0);
    /// Added to the root of the second moment.
    "optim.eps" optim_eps: f64 = 1e-8, Above(0.0);
    /// Iterations of linear warm-up.
    "optim.warmup_iters" optim_warmup_iters: usize = 1500, Iterations(0);
    /// Multiple of the learning rate that warm-up starts from.
    "optim.warmup_ratio" optim_warmup_ratio: f64 = 1e-6, Within(0.0, 1.0);
    /// Power of the polynomial decay after warm-up.
    "optim.power" optim_power: f64 = 1.0, AtLeast(0.0);

    /// Images in a step.
    "batch.global" batch_global: usize = 8, Within(1.0, 4096.0);
    /// Images whose gradients are computed together, to fit a device; 0 takes the whole batch, or what fits of it.
    "batch.micro" batch_micro: usize = 0;
    /// Steps of the run.
    "train.iters" train_iters: usize = 20_000, Within(1.0, 1e7);
    /// Side of the square training crop in pixels, a multiple of a token's (16 with the released strides).
    "train.crop" train_crop: usize = 512, Within(32.0, 8192.0);
    /// Device memory that a step may take; where it would take more, cheap values are computed again for the gradient.
    "train.memory" train_memory: MemoryLimit = MemoryLimit(None);
    /// Storage of the network's features: whole, or in half precision and half the memory. Everything else stays whole.
    "train.precision" train_precision: Precision = Precision::F32;
    /// Steps between evaluations, each with a checkpoint and pictures; the last step always has one.
    "train.eval_every" train_eval_every: usize = 2000, Iterations(1);
    /// Steps between checkpoints besides those of evaluations; what a killed run loses at most.
    "train.save_every" train_save_every: usize = 2000, Iterations(1);
    /// Steps between lines of the record.
    "train.log_every" train_log_every: usize = 200, Iterations(1);
    /// Newest checkpoints to keep, besides the best; 0 keeps all.
    "train.keep" train_keep: usize = 2;
    /// Seed of weights, shuffling, augmentation and dropout.
    "seed" seed: u64 = 1;

    /// List of images to train on; `auto` takes train_aug where there is one, else train.
    "data.train_split" data_train_split: String = "auto".into();
    /// Range of the random resize of training images.
    "data.scale" data_scale: [f64; 2] = [0.5, 2.0], Within(0.01, 16.0);
    /// Mirror training images at random.
    "data.flip" data_flip: bool = true;

    /// Long side that test images are resized to; 0 keeps each image's own size.
    "test.long_side" test_long_side: usize = 512, Within(0.0, 16_384.0);
    /// Scales of the final test, relative to that size.
    "test.scales" test_scales: Vec<f64> = vec![1.0, 0.5, 0.75], Within(0.01, 16.0);
    /// Average every test pass with its mirror image.
    "test.flip" test_flip: bool = true;
    /// Fusion of the test scales.
    "test.fuse" test_fuse: Fuse = Fuse::Max;

    /// Iterations of the dense CRF.
    "crf.iterations" crf_iterations: usize = 10, Within(0.0, 1000.0);
    /// Weight and width in pixels of the CRF's kernel of positions.
    "crf.gauss" crf_gauss: [f64; 2] = [3.0, 3.0], AtLeast(0.1);
    /// Weight, width in pixels and width in grey levels of the CRF's kernel of positions and colours.
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
    /// [`Error::Config`] with the nearest name when there is none.
    pub fn find(name: &str) -> Result<&'static OptionInfo> {
        if let Some(option) = OPTIONS.iter().find(|option| option.name == name) {
            return Ok(option);
        }
        // `iters` should find `train.iters`, so the last part of a name counts as much as the whole.
        let likeness = |option: &OptionInfo| {
            let last = option.name.rsplit('.').next().unwrap_or(option.name);
            strsim::jaro_winkler(option.name, name).max(strsim::jaro_winkler(last, name))
        };
        let nearest = OPTIONS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let remedy = nearest.map_or(String::new(), |option| format!("did you mean `{}`? ", option.name));
        Err(Error::config(name, "there is no such option", format!("{remedy}(`tagseg config` lists all of them)")))
    }

    /// What is allowed, in words that finish "give …".
    pub fn allowed(&self) -> String {
        format!("{}{}", (self.kind)(), self.limit)
    }

    /// The one-line meaning, with the choices where there are some.
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
    /// [`Error::Config`] with what is allowed when `value` is of the wrong type or out of range.
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

    /// Whether the option's value in `config` keeps to its limit.
    pub(super) fn in_range(&self, config: &Config) -> bool {
        (self.numbers)(config).into_iter().all(|number| self.limit.holds(number))
    }

    /// The error for a value that is not allowed.
    pub(super) fn refuse(&self, value: &str) -> Error {
        Error::config(self.name, format!("{} is not allowed", value.trim()), format!("give {}", self.allowed()))
    }
}
