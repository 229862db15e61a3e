//! One training step as a graph (method.md 0.5): forward pass, the labels and losses of a method, gradients, AdamW.

use std::sync::{Arc, OnceLock};

use super::definition::{Inputs, Method, Sizes, TrainPass};
use super::losses::{Losses, Objective};
use super::micro_batches::MicroBatches;
use super::phase::Phase;
use super::schedule::Schedule;
use crate::config::Config;
use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::nn::{Mode, Parameter, Part};
use crate::engine::ops::adamw::{Trained, adamw};
use crate::engine::ops::pack::Packed;
use crate::error::Result;
use crate::parts::batch_parts::parts;
use crate::parts::images::Images;
use crate::parts::network::{Network, NetworkConfig, NetworkOptions, Outputs};

/// The state that records which values were not finite; while one is set, the weights are not updated.
pub const FLAGS: &str = "guard.flags";

/// The part of a step that holds the images and the differentiable pass.
const FORWARD: &str = "forward";

/// Names of the states that hold a parameter's first and second moment.
pub fn moment_names(parameter: &str) -> [String; 2] {
    [format!("adamw.first.{parameter}"), format!("adamw.second.{parameter}")]
}

/// A recorded step. Nodes that are not read and update no state never run.
pub struct Step {
    /// The recording.
    pub graph: Graph,
    /// The inputs.
    pub inputs: Inputs,
    /// The differentiable pass.
    pub outputs: Outputs,
    /// The labels of the method, and its losses as a function of some images.
    pub objective: Objective,
    /// All losses of the batch, unweighted.
    pub losses: Losses,
    /// The weighted sum that is differentiated.
    pub total: Tensor,
    /// Parameters and running statistics of the network.
    pub parameters: Vec<Parameter>,
    schedule: Schedule,
    /// Set if gradients are computed micro-batch by micro-batch.
    micro_batches: Option<MicroBatches>,
}

impl Step {
    /// Records forward pass, labels and losses of a step of `method` in `phase`, whose images the host uploads as
    /// bytes. Dropout uses the `random` input if `drop` is set.
    ///
    /// # Errors
    /// If the crop is too small for the network.
    pub fn record(
        method: &Arc<dyn Method>,
        config: &Config,
        network: &NetworkConfig,
        phase: &Phase,
        sizes: Sizes,
        drop: bool,
    ) -> Result<Self> {
        let graph = Graph::new();
        graph.begin(FORWARD);
        let images = Images::of_bytes(&graph, sizes.batch, sizes.crop)?;
        Step::record_on(images, method, config, network, phase, sizes.slots, drop)
    }

    /// As [`Step::record`], in the graph of `images` and with their sizes.
    ///
    /// # Errors
    /// As [`Step::record`].
    pub fn record_on(
        images: Images,
        method: &Arc<dyn Method>,
        config: &Config,
        network: &NetworkConfig,
        phase: &Phase,
        slots: usize,
        drop: bool,
    ) -> Result<Self> {
        let graph = images.input.graph().clone();
        let schedule = Schedule::new(method, config, &network.encoder);
        let sizes = Sizes { batch: images.batch(), crop: images.size(), slots };
        let Sizes { batch, crop, .. } = sizes;
        let foreground = network.classes - 1;
        let inputs = Inputs {
            images,
            tags: graph.input("tags", [batch, foreground], DType::F32),
            classes: graph.input("classes", [batch, slots], DType::I32),
            boxes: graph.input("boxes", [batch, 4], DType::I32),
            masks: graph.input("masks", [batch, crop[0], crop[1]], DType::I32),
            random: graph.input("random", [3], DType::I32),
            hyper: graph.input("hyper", [schedule.groups().len(), 4], DType::F32),
        };
        let random = drop.then(|| inputs.random.clone());
        let streams = graph.random_streams();
        let whole = Arc::new(Part { images: 0..batch, of: batch, whole: None, own: OnceLock::new() });
        graph.begin(FORWARD);
        let model = Network::new(&graph, network, NetworkOptions::new(config))?;
        let mode = Mode::Train { random: random.clone(), part: Some(whole.clone()) };
        let divided = (1..batch).contains(&config.batch_micro);
        let outputs = if divided {
            let parts = parts(batch, 4 * model.widest(crop)).into_iter();
            let images = parts.map(|images| inputs.images.normalised.slice(0, images)).collect::<Result<Vec<_>>>()?;
            Outputs::together(&model.forward_parts(&images, &mode)?)?
        } else {
            model.forward(&inputs.images.normalised, &mode)?
        };
        let objective = method.record(&TrainPass {
            config,
            network: &model,
            inputs: &inputs,
            outputs: &outputs,
            sizes,
            phase,
            random: random.clone(),
        })?;
        graph.begin("losses");
        let losses = (objective.losses)(&outputs, &(0..batch))?;
        let total = losses.total()?;
        let parameters = model.parameters();
        let images = config.batch_micro;
        let micro_batches = divided.then_some(MicroBatches { network: model, random, streams, whole, images });
        Ok(Step { graph, inputs, outputs, objective, losses, total, parameters, schedule, micro_batches })
    }

    /// A map of the method by its name.
    pub fn map(&self, name: &str) -> Option<&Tensor> {
        self.objective.maps.iter().find(|(known, _)| *known == name).map(|(_, map)| map)
    }

    /// The parameters that training updates.
    ///
    /// # Errors
    /// If the method assigns one to a group that it does not list.
    pub fn trained(&self) -> Result<Vec<Parameter>> {
        let mut trained = Vec::new();
        for parameter in self.parameters.iter().filter(|parameter| parameter.trained) {
            if self.schedule.trains(&parameter.name)? {
                trained.push(parameter.clone());
            }
        }
        Ok(trained)
    }

    /// Gradients of the total with respect to `parameters`.
    ///
    /// # Errors
    /// Never for parameters of this network.
    pub fn gradients(&self, parameters: &[Parameter]) -> Result<Vec<Tensor>> {
        let tensors: Vec<_> =
            parameters.iter().map(|parameter| self.graph.state(&parameter.name, parameter.shape.clone())).collect();
        match &self.micro_batches {
            None => self.graph.gradients(&self.total, &tensors),
            Some(micro) => micro.gradients(&self.inputs.images.normalised, &self.objective, &self.total, &tensors),
        }
    }

    /// Records the AdamW step of every trained parameter. Its moments are the states of [`moment_names`]. Once a total
    /// or a gradient is not finite, nothing is updated any more; the returned value, \[1\], is 1 until then.
    ///
    /// # Errors
    /// If the method assigns a parameter to a group that it does not list.
    pub fn update(&self) -> Result<Tensor> {
        let parameters = self.trained()?;
        self.graph.begin("backward");
        let mut guarded = self.gradients(&parameters)?;
        guarded.push(self.total.clone());
        self.graph.begin("optimiser");
        let guarded = Packed::new(&guarded)?;
        let gate = self.gate(&guarded)?;
        let trained = |parameter: &Parameter| {
            let state = |name: &str| self.graph.state(name, parameter.shape.clone());
            let [m, v] = moment_names(&parameter.name).map(|name| state(&name));
            Ok(Trained { param: state(&parameter.name), m, v, group: self.schedule.row_of(&parameter.name)? })
        };
        let trained = parameters.iter().map(trained).collect::<Result<Vec<_>>>()?;
        adamw(self.schedule.optimiser(), &trained, &guarded, &self.inputs.hyper, Some(&gate))?;
        Ok(gate)
    }

    /// 1 while the gradients and the total are finite, 0 from the first step on in which one is not: \[1\]. The state
    /// [`FLAGS`] has a flag for each, in order.
    fn gate(&self, guarded: &Packed) -> Result<Tensor> {
        let flags = self.graph.state(FLAGS, [guarded.len()]);
        flags.flag_nonfinite(guarded)?;
        flags.max_keep(0)?.neg()?.offset(1.0)
    }

    /// The names of the values that are recorded for this step.
    pub fn columns(&self) -> Columns {
        Columns {
            losses: self.losses.terms.iter().map(|term| term.name).collect(),
            empty: self.losses.empty.iter().map(|count| count.name).collect(),
        }
    }

    /// The values of [`Step::columns`], \[columns\]; `finite` is the result of [`Step::update`]. Inactive losses are 0.
    ///
    /// # Errors
    /// Never for a recorded step.
    pub fn record_values(&self, finite: &Tensor) -> Result<Tensor> {
        self.graph.begin("record");
        let zero = self.graph.scalar(0.0);
        let when = |on: bool, value: &Tensor| if on { value.clone() } else { zero.clone() };
        let losses = self.losses.terms.iter().map(|term| when(term.on, &term.value));
        let empty = self.losses.empty.iter().map(|count| when(count.on, &count.value));
        let values = std::iter::once(self.total.clone()).chain(losses).chain(empty).chain([finite.clone()]);
        let values = values.map(|value| value.reshape([1])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&values.iter().collect::<Vec<_>>(), 0)
    }
}

/// The names of the values that are recorded for a step: the total, every loss, the counts of empty groups, and
/// whether all was finite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Losses.
    pub losses: Vec<&'static str>,
    /// Losses whose empty groups are counted.
    pub empty: Vec<&'static str>,
}

/// The values of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepValues {
    /// Weighted sum of the losses.
    pub total: f64,
    /// The losses by name, before weighting; 0 if inactive.
    pub losses: Vec<(&'static str, f64)>,
    /// Replica groups without a labelled pixel, by loss.
    pub empty: Vec<(&'static str, f64)>,
    /// Whether total and gradients of this and all earlier steps were finite.
    pub finite: bool,
}

impl StepValues {
    /// The loss of a name.
    pub fn loss(&self, name: &str) -> Option<f64> {
        self.losses.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl Columns {
    /// The name of every value, in the order of [`Step::record_values`].
    pub fn names(&self) -> Vec<String> {
        let losses = self.losses.iter().map(|name| (*name).to_owned());
        let empty = self.empty.iter().map(|name| format!("{name}_empty"));
        std::iter::once("total".to_owned()).chain(losses).chain(empty).chain(["finite".to_owned()]).collect()
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.names().len()
    }

    /// The values of a step, of which there are [`Columns::count`].
    pub fn read(&self, row: &[f64]) -> StepValues {
        let mut values = row.iter().copied();
        let mut next = || values.next().unwrap_or(f64::NAN);
        let total = next();
        let losses = self.losses.iter().map(|&name| (name, next())).collect();
        let empty = self.empty.iter().map(|&name| (name, next())).collect();
        StepValues { total, losses, empty, finite: next() == 1.0 }
    }
}
