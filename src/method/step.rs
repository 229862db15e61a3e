//! One training step as a graph (method.md 0.5): forward pass, the labels and losses of a method, gradients, AdamW.

use std::cell::OnceCell;
use std::sync::Arc;

use super::definition::{Inputs, Method, Sizes, Together, TrainPass};
use super::losses::{EmptyCount, LossTerm, Losses};
use super::passes::{GroupPass, Passes, sum};
use super::phase::Phase;
use super::schedule::Schedule;
use crate::config::Config;
use crate::engine::graph::{DType, Graph, Shape, Tensor};
use crate::engine::nn::{Groups, Mode, Parameter, Part, Share};
use crate::engine::ops::adamw::{Trained, adamw};
use crate::engine::ops::pack::Packed;
use crate::error::Result;
use crate::parts::batch_parts::{parts, together as together_of};
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
    /// Labels and other maps of the method by name, \[B, …\]. Maps that are not read are not computed.
    pub maps: Vec<(&'static str, Tensor)>,
    /// All losses of the batch, unweighted.
    pub losses: Losses,
    /// The weighted sum that is differentiated.
    pub total: Tensor,
    /// Parameters and running statistics of the network.
    pub parameters: Vec<Parameter>,
    schedule: Schedule,
    passes: Passes,
}

/// What a step is recorded from, besides its images.
struct Wanted<'a> {
    method: &'a Arc<dyn Method>,
    config: &'a Config,
    network: &'a NetworkConfig,
    phase: &'a Phase,
    slots: usize,
    drop: bool,
    share: Share,
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
        Step::record_share(method, config, network, phase, sizes, drop, Share::whole(config.batch_ranks))
    }

    /// As [`Step::record`], for some of the `batch.ranks` groups of a batch: `sizes` are those of their images.
    ///
    /// # Errors
    /// As [`Step::record`].
    pub fn record_share(
        method: &Arc<dyn Method>,
        config: &Config,
        network: &NetworkConfig,
        phase: &Phase,
        sizes: Sizes,
        drop: bool,
        share: Share,
    ) -> Result<Self> {
        let graph = Graph::new();
        graph.begin(FORWARD);
        let images = Images::of_bytes(&graph, sizes.batch, sizes.crop)?;
        Wanted { method, config, network, phase, slots: sizes.slots, drop, share }.record(images)
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
        let share = Share::whole(config.batch_ranks);
        Wanted { method, config, network, phase, slots, drop, share }.record(images)
    }
}

impl Wanted<'_> {
    fn record(self, images: Images) -> Result<Step> {
        let Wanted { method, config, network, phase, slots, drop, share } = self;
        let graph = images.input.graph().clone();
        let schedule = Schedule::new(method, config, &network.encoder);
        let (batch, crop, foreground) = (images.batch(), images.size(), network.classes - 1);
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
        // Images of a group, and the inputs of each.
        let own = batch / share.here.len();
        let each = match share.here.len() {
            1 => vec![inputs.clone()],
            groups => (0..groups).map(|index| inputs.some(index * own..(index + 1) * own)).collect::<Result<_>>()?,
        };
        let groups = share.is_divided().then(|| Groups { share: share.clone(), labels: false });
        let rows = share.here.start * own..share.here.end * own;
        let whole = Arc::new(Part { groups, ..Part::some(rows, share.ranks * own) });
        graph.begin(FORWARD);
        let model = Network::new(&graph, network, NetworkOptions::new(config))?;
        let mode = Mode::Train { random: random.clone(), part: Some(whole.clone()) };
        let micro = Some(config.batch_micro).filter(|micro| (1..own).contains(micro));
        let mut tensors = Vec::new();
        for Inputs { images, .. } in &each {
            match micro {
                None => tensors.push(images.normalised.clone()),
                Some(_) => {
                    for part in parts(own, 4 * model.widest(crop)) {
                        tensors.push(images.normalised.slice(0, part)?);
                    }
                }
            }
        }
        let outputs = model.forward_parts(&tensors, &mode)?;
        let outputs = outputs.chunks(tensors.len() / each.len()).map(Outputs::together).collect::<Result<Vec<_>>>()?;
        let normalised = each.iter().map(|inputs| inputs.images.normalised.clone()).collect();
        let together = Together { share: &share, images: normalised, outputs: &outputs, scales: OnceCell::new() };
        let (mut passes, mut losses) = (Vec::new(), Vec::new());
        for (group, (inputs, outputs)) in each.iter().zip(&outputs).enumerate() {
            let objective = method.record(&TrainPass {
                config,
                network: &model,
                inputs,
                outputs,
                sizes: Sizes { batch: own, crop, slots },
                phase,
                random: random.clone(),
                together: &together,
                group,
            })?;
            graph.begin("losses");
            let own = (objective.losses)(outputs, &(0..own))?;
            passes.push(GroupPass { images: inputs.images.normalised.clone(), objective, total: own.total()? });
            losses.push(own);
        }
        let (total, losses) = match share.is_divided() {
            true => of_all_groups(&share, &passes, &losses)?,
            false => (passes[0].total.clone(), losses.swap_remove(0)),
        };
        let maps = passes[0].objective.maps.iter().enumerate().map(|(index, (name, _))| {
            let of_groups: Vec<_> = passes.iter().map(|pass| pass.objective.maps[index].1.clone()).collect();
            Ok((*name, together_of(&of_groups)?))
        });
        let maps = maps.collect::<Result<_>>()?;
        let outputs = Outputs::together(&outputs)?;
        let parameters = model.parameters();
        let passes = Passes { network: model, random, streams, whole, micro, share, groups: passes };
        Ok(Step { graph, inputs, outputs, maps, losses, total, parameters, schedule, passes })
    }
}

/// The total and the losses of a batch from those of its groups: means, and sums of the counts. Losses that are not active
/// are 0.
fn of_all_groups(share: &Share, passes: &[GroupPass], losses: &[Losses]) -> Result<(Tensor, Losses)> {
    let own = passes.iter().zip(losses).map(|(pass, losses)| {
        let terms = losses.terms.iter().filter(|term| term.on).map(|term| &term.value);
        let empty = losses.empty.iter().filter(|count| count.on).map(|count| &count.value);
        let values = std::iter::once(&pass.total).chain(terms).chain(empty);
        let values = values.map(|value| value.reshape([1])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&values.iter().collect::<Vec<_>>(), 0)
    });
    let sums = share.gather(&own.collect::<Result<Vec<_>>>()?)?.sum_keep(0)?;
    let means = sums.scale(1.0 / share.ranks as f64)?;
    let mut next = 0;
    let mut take = |of: &Tensor| {
        next += 1;
        of.slice(1, next - 1..next)?.reshape(Shape::default())
    };
    let total = take(&means)?;
    let zero = sums.graph().scalar(0.0);
    let terms = losses[0].terms.iter().map(|term| {
        let value = if term.on { take(&means)? } else { zero.clone() };
        Ok(LossTerm { name: term.name, value, weight: term.weight, on: term.on })
    });
    let terms = terms.collect::<Result<_>>()?;
    let empty = losses[0].empty.iter().map(|count| {
        let value = if count.on { take(&sums)? } else { zero.clone() };
        Ok(EmptyCount { name: count.name, value, on: count.on })
    });
    Ok((total, Losses { terms, empty: empty.collect::<Result<_>>()? }))
}

impl Step {
    /// A map of the method by its name.
    pub fn map(&self, name: &str) -> Option<&Tensor> {
        self.maps.iter().find(|(known, _)| *known == name).map(|(_, map)| map)
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

    /// Gradients of the total with respect to `parameters`; of a share of a batch, what its groups add to them.
    ///
    /// # Errors
    /// Never for parameters of this network.
    pub fn gradients(&self, parameters: &[Parameter]) -> Result<Vec<Tensor>> {
        let mut groups = self.gradients_of_groups(parameters)?.into_iter();
        let first = groups.next().unwrap_or_default();
        groups.try_fold(first, |sums, own| sum(&sums, &own))
    }

    fn gradients_of_groups(&self, parameters: &[Parameter]) -> Result<Vec<Vec<Tensor>>> {
        let state = |parameter: &Parameter| self.graph.state(&parameter.name, parameter.shape.clone());
        self.passes.gradients(&parameters.iter().map(state).collect::<Vec<_>>())
    }

    /// Records the AdamW step of every trained parameter. Its moments are the states of [`moment_names`]. Once a total
    /// or a gradient is not finite, nothing is updated any more; the returned value, \[1\], is 1 until then.
    ///
    /// # Errors
    /// If the method assigns a parameter to a group that it does not list.
    pub fn update(&self) -> Result<Tensor> {
        let parameters = self.trained()?;
        self.graph.begin("backward");
        let groups = self.gradients_of_groups(&parameters)?.into_iter().zip(&self.passes.groups);
        let groups = groups.map(|(gradients, pass)| [gradients, vec![pass.total.clone()]].concat()).collect::<Vec<_>>();
        self.graph.begin("optimiser");
        let groups = groups.iter().map(|guarded| Packed::new(guarded)).collect::<Result<Vec<_>>>()?;
        let guarded = self.passes.share.sum(groups)?;
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
