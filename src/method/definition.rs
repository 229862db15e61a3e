//! The interface of a method: the labels and losses of a step, the trained parameters, and the maps of images.

use std::fmt;

use super::groups::{Group, official_group_of, official_groups};
use super::losses::Objective;
use super::maps::{MapInfo, MapPass};
use super::phase::Phase;
use crate::config::{Config, MsMode};
use crate::engine::graph::Tensor;
use crate::engine::nn::Mode;
use crate::error::Result;
use crate::parts::encoders::Encoder;
use crate::parts::images::Images;
use crate::parts::network::{Network, Outputs};
use crate::parts::propagation::{Par, PictureBox, Scene};
use crate::parts::seeds::{MultiScale, multi_scale};

/// The inputs that the host writes before each step.
pub struct Inputs {
    /// The crops.
    pub images: Images,
    /// Multi-hot tags \[B, K\].
    pub tags: Tensor,
    /// Valid classes in slots, i32 \[B, P\].
    pub classes: Tensor,
    /// Part of each crop without padding: i32 \[B, 4\] = y0, y1, x0, x1.
    pub boxes: Tensor,
    /// True masks i32 \[B, S, S\], 255 = void; only read by methods that [need](Method::needs_masks) them.
    pub masks: Tensor,
    /// Key of the random numbers: i32 \[3\] = seed (low, high), step.
    pub random: Tensor,
    /// Hyper-parameters of AdamW for each group of parameters, \[groups, 4\]: rate, weight decay, bias corrections.
    pub hyper: Tensor,
}

/// Sizes of the tensors of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Images.
    pub batch: usize,
    /// Height and width of the crops.
    pub crop: [usize; 2],
    /// Slots per image, see [`Slots`](crate::parts::propagation::Slots).
    pub slots: usize,
}

/// A step under construction: the differentiable pass of all images is recorded, labels and losses are not yet.
pub struct TrainPass<'a> {
    /// Every option.
    pub config: &'a Config,
    /// The network.
    pub network: &'a Network,
    /// The inputs.
    pub inputs: &'a Inputs,
    /// The outputs of the differentiable pass.
    pub outputs: &'a Outputs,
    /// Sizes of the step.
    pub sizes: Sizes,
    /// The active parts of the method.
    pub phase: &'a Phase,
    /// The key of dropout, if it is enabled.
    pub random: Option<Tensor>,
}

impl TrainPass<'_> {
    /// Training mode for another pass of the network, whose statistics update the running ones.
    pub fn train_mode(&self) -> Mode {
        Mode::Train { random: self.random.clone(), part: None }
    }

    /// The passes over `ms.scales` and mirror images that labels are made from, in `ms.mode`. The features of the
    /// differentiable pass are used again if the encoder would compute the same.
    ///
    /// # Errors
    /// If images are too small at the smallest scale.
    pub fn multi_scale(&self) -> Result<MultiScale> {
        let mode = match self.config.ms_mode {
            MsMode::Train => self.train_mode(),
            MsMode::Eval => Mode::Eval,
        };
        let known = (!self.network.config().encoder.is_random()).then_some(self.outputs);
        multi_scale(self.network, &self.inputs.images.normalised, &self.config.ms_scales, known, &mode)
    }

    /// The scene that seeds are propagated over: the pictures of the batch and their classes.
    ///
    /// # Errors
    /// Never for the inputs of a step.
    pub fn scene(&self) -> Result<Scene> {
        Ok(Scene {
            picture: self.inputs.images.pictures()?,
            classes: self.inputs.classes.clone(),
            picture_box: PictureBox::new(&self.inputs.boxes, self.sizes.crop)?,
            par: Par::new(self.config),
        })
    }
}

/// A training method: records the labels and losses of a step.
///
/// The trainer records the forward pass before it and the update after it. Checkpoints, resuming, micro-batches,
/// evaluation, pictures and reports are the same for all methods: they use only the names that a method declares.
/// See `examples/own_method.rs` for an example.
pub trait Method: fmt::Debug + Send + Sync {
    /// Its name, as in the option `method.name`.
    fn name(&self) -> &str;

    /// Whether it learns from true masks.
    fn needs_masks(&self) -> bool {
        false
    }

    /// Checks that the options of a configuration are valid for the method and the encoder.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for an invalid option.
    fn check(&self, _config: &Config, _encoder: &dyn Encoder) -> Result<()> {
        Ok(())
    }

    /// The parts that are active in the zero-based step `step`.
    fn phase(&self, _config: &Config, _step: usize) -> Phase {
        Phase::default()
    }

    /// The parts whose starts are marked in the curves, in order.
    fn marked_parts(&self) -> &[&'static str] {
        &[]
    }

    /// Groups of parameters, with learning rates and decay.
    fn groups(&self, config: &Config) -> Vec<Group> {
        official_groups(config)
    }

    /// The name of the group that a parameter belongs to.
    fn group_of(&self, parameter: &str, encoder: &dyn Encoder, config: &Config) -> &'static str {
        official_group_of(parameter, encoder, config)
    }

    /// Records the labels of a step, and returns its losses. Every phase must return losses with the same names in the
    /// same order.
    ///
    /// # Errors
    /// If the shapes do not fit.
    fn record(&self, pass: &TrainPass<'_>) -> Result<Objective>;

    /// The maps of images with known tags, in the order of tables and pictures.
    fn maps(&self) -> &[MapInfo];

    /// Records the [maps](Method::maps) that are available, by name.
    ///
    /// # Errors
    /// If the shapes do not fit.
    fn record_maps(&self, pass: &MapPass<'_>) -> Result<Vec<(&'static str, Tensor)>>;
}
