//! The named losses of a step, and their weighted sum.

use std::ops::Range;

use crate::engine::graph::Tensor;
use crate::error::{Error, Result};
use crate::parts::network::Outputs;

/// A loss by its name in the record.
pub struct LossTerm {
    /// The name.
    pub name: &'static str,
    /// The loss before weighting, \[\].
    pub value: Tensor,
    /// Its weight in the total.
    pub weight: f64,
    /// Whether it is part of the total in this phase; otherwise 0 is recorded.
    pub on: bool,
}

impl LossTerm {
    /// An active loss.
    pub fn new(name: &'static str, value: Tensor, weight: f64) -> Self {
        LossTerm { name, value, weight, on: true }
    }

    /// The same loss, active if `on`.
    pub fn when(self, on: bool) -> Self {
        LossTerm { on, ..self }
    }
}

/// The number of replica groups of a step without a labelled pixel for a loss (method.md 6.5).
pub struct EmptyCount {
    /// The loss.
    pub name: &'static str,
    /// The number, \[\].
    pub value: Tensor,
    /// Whether it applies in this phase; otherwise 0 is recorded.
    pub on: bool,
}

/// All losses of some images.
#[derive(Default)]
pub struct Losses {
    /// The losses, in the order of the record.
    pub terms: Vec<LossTerm>,
    /// Empty groups by loss.
    pub empty: Vec<EmptyCount>,
}

impl Losses {
    /// Losses without counts of empty groups.
    pub fn new(terms: Vec<LossTerm>) -> Self {
        Losses { terms, empty: Vec::new() }
    }

    /// Σ weight · loss over the active losses, the objective.
    ///
    /// # Errors
    /// [`Error::Graph`] if no loss is active.
    pub fn total(&self) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        for term in self.terms.iter().filter(|term| term.on) {
            let weighted = || term.value.scale(term.weight);
            total = Some(match total {
                Some(total) => total.add(&weighted()?)?,
                None if term.weight == 1.0 => term.value.clone(),
                None => weighted()?,
            });
        }
        total.ok_or_else(|| Error::Graph("a step needs a loss that is active in its phase".into()))
    }

    /// The loss of a name.
    pub fn loss(&self, name: &str) -> Option<&Tensor> {
        self.terms.iter().find(|term| term.name == name).map(|term| &term.value)
    }

    /// The count of empty groups of a loss.
    pub fn empty(&self, name: &str) -> Option<&Tensor> {
        self.empty.iter().find(|count| count.name == name).map(|count| &count.value)
    }
}

/// Computes the losses of the images `range` of a batch, from the network's outputs for these images alone.
pub type LossesOf = Box<dyn Fn(&Outputs, &Range<usize>) -> Result<Losses>>;

/// The labels of a step, which get no gradient, and its losses.
pub struct Objective {
    /// Labels and other maps by name, \[B, …\]. Maps that are not read are not computed.
    pub maps: Vec<(&'static str, Tensor)>,
    /// The losses. They are computed for the whole batch and, if `batch.micro` divides it, for each micro-batch: every
    /// loss of the batch must be the mean of those of equal micro-batches.
    pub losses: LossesOf,
}

/// The rows `images` of a tensor \[B, …\].
///
/// # Errors
/// If there are no such images.
pub fn of_images(tensor: &Tensor, images: &Range<usize>) -> Result<Tensor> {
    match images.len() == tensor.shape()[0] {
        true => Ok(tensor.clone()),
        false => tensor.slice(0, images.clone()),
    }
}
