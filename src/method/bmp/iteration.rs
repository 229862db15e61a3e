//! One training iteration as a graph (spec 0.5): forward, label-making passes, losses, gradients, AdamW.

use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;

use super::division::Division;
use crate::config::{AffLabel, BspBackground, Config, Fuse, MsMode, S2cMap, YcSource, YsSource};
use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::nn::{Mode, Parameter, Part};
use crate::engine::ops::adamw::{Trained, adamw};
use crate::engine::ops::pack::Packed;
use crate::error::Result;
use crate::method::bmp::schedule::{Group, Phase, Schedule, group_of};
use crate::parts::batch_parts::{over_parts, parts, together};
use crate::parts::labels::pseudo_labels;
use crate::parts::labels::{Confidence, affinity_label, only_tagged, segmentation_label};
use crate::parts::losses::{Losses, affinity_loss, c2s_loss, classification_loss};
use crate::parts::losses::{masked_mean, pixel_loss};
use crate::parts::network::{Form, Network, NetworkConfig, Outputs};
use crate::parts::propagation::Scene;
use crate::parts::propagation::{Par, PictureBox};
use crate::parts::seeds::{MultiScale, multi_scale, normalise_map, picture};

/// What the host writes before each iteration.
pub struct Inputs {
    /// Normalised crops \[B, 3, S, S\].
    pub image: Tensor,
    /// Multi-hot tags \[B, K\].
    pub tags: Tensor,
    /// Valid classes in slots, i32 \[B, P\].
    pub classes: Tensor,
    /// Part of each crop that holds image: i32 \[B, 4\] = y0, y1, x0, x1.
    pub boxes: Tensor,
    /// True masks i32 \[B, S, S\], 255 = void; only read where `yc.source` is `masks`.
    pub masks: Tensor,
    /// Key of the random numbers: i32 \[3\] = seed (low, high), step.
    pub random: Tensor,
    /// [`Schedule::hypers`], \[4, 4\]: a row for each of [`Group::ALL`].
    pub hyper: Tensor,
}

/// The pseudo labels of an iteration, real-valued integers \[B, S, S\] with 255 = ignore.
pub struct Labels {
    /// Y_par, from fixed thresholds.
    pub y_par: Tensor,
    /// The label from propagated scores, whether or not it is in use yet.
    pub propagated: Tensor,
    /// The one of the two that supervises the segmentation branch.
    pub y_c: Tensor,
    /// Supervises the classification branch.
    pub y_s: Tensor,
}

impl Labels {
    /// Those of some images of the batch.
    ///
    /// # Errors
    /// If there are no such images.
    pub fn of(&self, images: Range<usize>) -> Result<Self> {
        let of = |label: &Tensor| label.slice(0, images.clone());
        Ok(Labels {
            y_par: of(&self.y_par)?,
            propagated: of(&self.propagated)?,
            y_c: of(&self.y_c)?,
            y_s: of(&self.y_s)?,
        })
    }
}

/// Sizes of the tensors of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Images.
    pub batch: usize,
    /// Height and width of the crops, multiples of 16.
    pub crop: [usize; 2],
    /// Slots per image, see [`super::Slots`].
    pub slots: usize,
}

/// A recorded iteration. What is not read and updates no state never runs.
pub struct Iteration {
    /// The recording.
    pub graph: Graph,
    /// What the host writes.
    pub inputs: Inputs,
    /// The differentiable pass.
    pub outputs: Outputs,
    /// The label-making passes.
    pub scales: MultiScale,
    /// What seeds are propagated with.
    scene: Scene,
    /// All labels.
    pub labels: Labels,
    /// All losses, unweighted.
    pub losses: Losses,
    /// The weighted sum that is differentiated.
    pub total: Tensor,
    /// Parameters and running statistics of the network.
    pub parameters: Vec<Parameter>,
    /// Where gradients are computed part by part.
    division: Option<Division>,
}

/// Names of the values in [`Iteration::record_values`], in order.
pub const VALUES: [&str; 10] =
    ["total", "cls", "c2s", "s2c", "aff", "c2s_empty", "s2c_empty", "y_c_labelled", "y_s_labelled", "finite"];

impl Iteration {
    /// Records forward passes, labels and losses of an iteration in `phase`. Dropout draws from the `random` input if
    /// `drop` is set.
    ///
    /// # Errors
    /// If the crop is too small for the network.
    pub fn record(config: &Config, network: &NetworkConfig, phase: Phase, sizes: Sizes, drop: bool) -> Result<Self> {
        let graph = Graph::new();
        let Sizes { batch, crop, slots } = sizes;
        let foreground = network.classes - 1;
        let inputs = Inputs {
            image: graph.input("image", [batch, 3, crop[0], crop[1]], DType::F32),
            tags: graph.input("tags", [batch, foreground], DType::F32),
            classes: graph.input("classes", [batch, slots], DType::I32),
            boxes: graph.input("boxes", [batch, 4], DType::I32),
            masks: graph.input("masks", [batch, crop[0], crop[1]], DType::I32),
            random: graph.input("random", [3], DType::I32),
            hyper: graph.input("hyper", [Group::ALL.len(), 4], DType::F32),
        };
        let random = drop.then(|| inputs.random.clone());
        let streams = graph.random_streams();
        let whole = Arc::new(Part { images: 0..batch, of: batch, whole: None, own: OnceLock::new() });
        graph.begin("forward");
        let model = Network::new(&graph, network, Form::new(config))?;
        let mode = Mode::Train { random: random.clone(), part: Some(whole.clone()) };
        let divided = (1..batch).contains(&config.batch_micro);
        let outputs = if divided {
            let parts = parts(batch, 4 * model.widest(crop)).into_iter();
            let images = parts.map(|images| inputs.image.slice(0, images)).collect::<Result<Vec<_>>>()?;
            Outputs::together(&model.forward_parts(&images, &mode)?)?
        } else {
            model.forward(&inputs.image, &mode)?
        };
        let label_mode = match config.ms_mode {
            MsMode::Train => Mode::Train { random: random.clone(), part: None },
            MsMode::Eval => Mode::Eval,
        };
        graph.begin("multi-scale");
        let scales = multi_scale(&model, &inputs.image, &config.ms_scales, &label_mode)?;

        let background = match config.bsp_bg {
            BspBackground::MultiScale => scales.scores(0..batch, 0..1)?,
            BspBackground::SingleScale => normalise_map(&outputs.seg_small.slice(1, 0..1)?.resize(crop, false)?)?,
        };
        let scene = Scene {
            background: background.detach()?,
            picture: picture(&inputs.image)?,
            classes: inputs.classes.clone(),
            picture_box: PictureBox::new(&inputs.boxes, crop)?,
            par: Par::new(config),
        };
        let (mut y_par, mut propagated) = (Vec::new(), Vec::new());
        for images in parts(batch, 4 * scales.widest(slots)) {
            let [fixed, by_propagation] = pseudo_labels(config, &scales, &scene.of(images.clone())?, images)?;
            y_par.push(fixed);
            propagated.push(by_propagation);
        }
        let (y_par, propagated) = (together(&y_par)?, together(&propagated)?);
        graph.begin("labels");
        let (confidence, first) = (Confidence::new(config), config.s2c_map.first_class());
        let mut y_s = over_parts(batch, 4 * scales.widest(network.classes), |images| {
            let logits = match config.ys_source {
                YsSource::TrainPass => outputs.seg_small.slice(0, images.clone())?,
                YsSource::MultiScale => scales
                    .logits(images.clone(), 0..network.classes, Fuse::Sum)?
                    .scale(1.0 / scales.passes.len() as f64)?,
            };
            segmentation_label(&logits, &scene.picture_box.of(images)?, config.sigma_s, confidence, first)
        })?;
        if config.ys_filter_by_labels {
            y_s = only_tagged(&y_s, &inputs.tags)?;
        }
        let y_c = match config.yc_source {
            YcSource::Masks => inputs.masks.to_real()?,
            YcSource::Seeds if phase.propagated => propagated.clone(),
            YcSource::Seeds => y_par.clone(),
        };
        let labels = Labels { y_par, propagated, y_c, y_s };

        // The passes without gradient come first: none of what they hold is left when the differentiable one begins.
        labels.y_c.hoist();
        labels.y_par.hoist();
        scene.background.hoist();

        graph.begin("losses");
        let (losses, total) = losses_of(config, phase, &outputs, &labels, &inputs.tags, &scene)?;
        let parameters = model.parameters();
        let division = divided.then(|| {
            let (config, images) = (config.clone(), config.batch_micro);
            Division { network: model, config, phase, random, streams, whole, images }
        });
        Ok(Iteration { graph, inputs, outputs, scales, scene, labels, losses, total, parameters, division })
    }

    /// The parameters that training updates under `schedule`.
    pub fn trained(&self, schedule: &Schedule) -> Vec<Parameter> {
        let trains = |parameter: &&Parameter| parameter.trained && schedule.trains(group_of(&parameter.name));
        self.parameters.iter().filter(trains).cloned().collect()
    }

    /// Gradients of the total with respect to `parameters`.
    ///
    /// # Errors
    /// Never for parameters of this network.
    pub fn gradients(&self, parameters: &[Parameter]) -> Result<Vec<Tensor>> {
        let tensors: Vec<_> =
            parameters.iter().map(|parameter| self.graph.state(&parameter.name, parameter.shape.clone())).collect();
        match &self.division {
            None => self.graph.gradients(&self.total, &tensors),
            Some(division) => {
                let Inputs { image, tags, .. } = &self.inputs;
                division.gradients(image, tags, &self.labels, &self.scene, &self.total, &tensors)
            }
        }
    }

    /// Records the AdamW step of every trained parameter. Its moments are the states of [`moment_names`]. Once a total
    /// or a gradient is not finite, nothing is updated any more; the value given here, \[1\], is 1 until then.
    ///
    /// # Errors
    /// Never for a recorded iteration.
    pub fn update(&self, config: &Config) -> Result<Tensor> {
        let schedule = Schedule::new(config);
        let parameters = self.trained(&schedule);
        let options = schedule.optimiser();
        self.graph.begin("backward");
        let mut guarded = self.gradients(&parameters)?;
        guarded.push(self.total.clone());
        self.graph.begin("optimiser");
        let guarded = Packed::new(&guarded)?;
        let gate = self.gate(&guarded)?;
        let trained = |parameter: &Parameter| {
            let state = |name: &str| self.graph.state(name, parameter.shape.clone());
            let [m, v] = moment_names(&parameter.name).map(|name| state(&name));
            Trained { param: state(&parameter.name), m, v, group: group_of(&parameter.name) as usize }
        };
        let trained: Vec<_> = parameters.iter().map(trained).collect();
        adamw(options, &trained, &guarded, &self.inputs.hyper, Some(&gate))?;
        Ok(gate)
    }

    /// 1 while the gradients and the total are finite, 0 from the first step on in which one is not: \[1\]. The state
    /// [`FLAGS`] has a flag for each, in order.
    fn gate(&self, guarded: &Packed) -> Result<Tensor> {
        let flags = self.graph.state(FLAGS, [guarded.len()]);
        flags.flag_nonfinite(guarded)?;
        flags.max_keep(0)?.neg()?.offset(1.0)
    }

    /// The values that the record keeps of this iteration, named by [`VALUES`]; `finite` is what [`Iteration::update`]
    /// gave. Losses that are off are 0.
    ///
    /// # Errors
    /// Never for a recorded iteration.
    pub fn record_values(&self, phase: Phase, finite: &Tensor) -> Result<Tensor> {
        let graph = &self.graph;
        graph.begin("record");
        let labelled = |label: &Tensor| graph.scalar(255.0).greater(label)?.mean_all();
        let zero = graph.scalar(0.0);
        let when = |on: bool, value: &Tensor| if on { value.clone() } else { zero.clone() };
        let (c2s, s2c) = (phase.c2s, phase.s2c);
        let (y_c, y_s) = (labelled(&self.labels.y_c)?, labelled(&self.labels.y_s)?);
        let values = [
            self.total.clone(),
            self.losses.cls.clone(),
            when(c2s, &self.losses.c2s),
            when(s2c, &self.losses.s2c),
            when(phase.aff, &self.losses.aff),
            when(c2s, &self.losses.c2s_empty),
            when(s2c, &self.losses.s2c_empty),
            when(c2s, &y_c),
            when(s2c, &y_s),
            finite.clone(),
        ];
        let values = values.iter().map(|value| value.reshape([1])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&values.iter().collect::<Vec<_>>(), 0)
    }
}

/// All losses of a pass (spec 6), and their weighted sum in `phase`.
pub(crate) fn losses_of(
    config: &Config,
    phase: Phase,
    outputs: &Outputs,
    labels: &Labels,
    tags: &Tensor,
    scene: &Scene,
) -> Result<(Losses, Tensor)> {
    let replica = config.loss_replica_size.min(tags.shape()[0]);
    let (c2s, c2s_empty) = c2s_loss(&outputs.seg_small, &labels.y_c, config.c2s_kind, replica)?;
    let pixels = |map: &Tensor, y_s: &Tensor| pixel_loss(map, y_s, config.s2c_map.first_class(), config.s2c_kind);
    let pixels = match config.s2c_map {
        S2cMap::CamLogits => pixels(&outputs.cam_small, &labels.y_s)?,
        S2cMap::Propagated => {
            let [batch, height, width]: [usize; 3] = labels.y_s.extents()?;
            let [_, foreground, ..]: [usize; 4] = outputs.cam_small.extents()?;
            over_parts(batch, 4 * (foreground + 1) * height * width, |images| {
                let map = scene.of(images.clone())?.propagated_map(&outputs.cam_small.slice(0, images.clone())?)?;
                pixels(&map, &labels.y_s.slice(0, images)?)
            })?
        }
    };
    let (s2c, s2c_empty) = masked_mean(&pixels, &labels.y_s, replica)?;
    let agreeing = match config.aff_label {
        AffLabel::YPar => &labels.y_par,
        AffLabel::YC => &labels.y_c,
    };
    let pairs = affinity_label(agreeing, config.token_side(), config.aff_radius)?;
    let aff = affinity_loss(&outputs.affinity, &pairs, replica)?;
    let losses = Losses { cls: classification_loss(&outputs.cls, tags)?, c2s, s2c, aff, c2s_empty, s2c_empty };
    let [_, c2s, s2c, aff] = Schedule::new(config).weights(phase);
    let mut total = losses.cls.clone();
    let terms = [(phase.c2s, &losses.c2s, c2s), (phase.s2c, &losses.s2c, s2c), (phase.aff, &losses.aff, aff)];
    for (_, loss, weight) in terms.into_iter().filter(|(on, ..)| *on) {
        total = total.add(&loss.scale(weight)?)?;
    }
    Ok((losses, total))
}

/// The state that remembers what was not finite; it keeps the weights from being touched until it is cleared.
pub const FLAGS: &str = "guard.flags";

/// Names of the states that hold a parameter's first and second moment.
pub fn moment_names(parameter: &str) -> [String; 2] {
    [format!("adamw.first.{parameter}"), format!("adamw.second.{parameter}")]
}
