//! The interface of a method: the labels and losses of a step, the trained parameters, and the maps of images.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::groups::{Group, official_group_of, official_groups};
use super::losses::Objective;
use super::maps::{MapInfo, MapPass};
use super::phase::Phase;
use crate::config::{Config, MsMode};
use crate::engine::graph::Tensor;
use crate::engine::nn::{Groups, Mode, Part, Share};
use crate::error::Result;
use crate::parts::encoders::Encoder;
use crate::parts::images::Images;
use crate::parts::network::{Network, Outputs};
use crate::parts::propagation::{Par, PictureBox, Scene};
use crate::parts::seeds::{MultiScale, multi_scale, multi_scale_of_groups};

/// The inputs that the host writes before each step.
#[derive(Clone)]
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

impl Inputs {
    /// Those of some images.
    pub(super) fn some(&self, images: Range<usize>) -> Result<Self> {
        let some = |input: &Tensor| input.slice(0, images.clone());
        Ok(Inputs {
            images: self.images.some(images.clone())?,
            tags: some(&self.tags)?,
            classes: some(&self.classes)?,
            boxes: some(&self.boxes)?,
            masks: some(&self.masks)?,
            random: self.random.clone(),
            hyper: self.hyper.clone(),
        })
    }
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

/// The groups of a batch, which are passed through the network together.
pub(super) struct Together<'a> {
    pub(super) share: &'a Share,
    /// The normalised images of each group of this graph.
    pub(super) images: Vec<Tensor>,
    /// The outputs of the differentiable pass for each.
    pub(super) outputs: &'a [Outputs],
    /// The passes that labels are made from, for each.
    pub(super) scales: OnceCell<Vec<MultiScale>>,
}

/// A step under construction: the differentiable pass of all images is recorded, labels and losses are not yet. Images,
/// outputs and sizes are those of one group of the batch, if it is divided among ranks, and else of all images.
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
    /// All groups of this graph, and the number of this one among them.
    pub(super) together: &'a Together<'a>,
    pub(super) group: usize,
}

impl TrainPass<'_> {
    /// Training mode for another pass of the network, whose statistics update the running ones.
    pub fn train_mode(&self) -> Mode {
        let share = &self.together.share;
        let own = self.images_of(share.here.start + self.group, &(0..self.sizes.batch));
        let part = share.is_divided().then(|| self.part_for_labels(vec![own], self.sizes.batch * share.ranks));
        Mode::Train { random: self.random.clone(), part }
    }

    /// The images of the batch that are the images `of` a group.
    fn images_of(&self, group: usize, of: &Range<usize>) -> Range<usize> {
        let first = group * self.sizes.batch;
        first + of.start..first + of.end
    }

    fn part_for_labels(&self, rows: Vec<Range<usize>>, of: usize) -> Arc<Part> {
        let groups = Some(Groups { share: self.together.share.clone(), labels: true });
        Arc::new(Part { rows, of, groups, ..Part::default() })
    }

    /// The passes over `ms.scales` and mirror images that labels are made from, in `ms.mode`. The features of the
    /// differentiable pass are used again if the encoder would compute the same.
    ///
    /// # Errors
    /// If images are too small at the smallest scale.
    pub fn multi_scale(&self) -> Result<MultiScale> {
        let Together { share, images, outputs, scales: cache } = self.together;
        let (scales, again) = (&self.config.ms_scales, !self.network.config().encoder.is_random());
        if !share.is_divided() {
            let mode = match self.config.ms_mode {
                MsMode::Train => self.train_mode(),
                MsMode::Eval => Mode::Eval,
            };
            let known = again.then_some(self.outputs);
            return multi_scale(self.network, &self.inputs.images.normalised, scales, known, &mode);
        }
        if let Some(known) = cache.get() {
            return Ok(known[self.group].clone());
        }
        let batch = self.sizes.batch * share.ranks;
        // Images have the numbers of the batch, and mirror images the next ones.
        let mode_of = |parts: &[Range<usize>]| match self.config.ms_mode {
            MsMode::Train => {
                let parts = share.here.clone().flat_map(|group| parts.iter().map(move |part| (group, part)));
                let rows = parts.flat_map(|(group, part)| {
                    let Range { start, end } = self.images_of(group, part);
                    [start..end, batch + start..batch + end]
                });
                Mode::Train { random: self.random.clone(), part: Some(self.part_for_labels(rows.collect(), 2 * batch)) }
            }
            MsMode::Eval => Mode::Eval,
        };
        let all = multi_scale_of_groups(self.network, images, scales, again.then_some(*outputs), &mode_of)?;
        Ok(cache.get_or_init(|| all)[self.group].clone())
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
