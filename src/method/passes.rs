//! The gradients of a step whose batch is divided: among ranks (`batch.ranks`), and each rank's group into micro-batches
//! (`batch.micro`), so that only the activations of one micro-batch are in memory.
//!
//! The images of a batch are coupled by the decoder's batch norm (method.md 2.2), and by the means over replica groups
//! (method.md 6), which neither groups nor micro-batches split. So the loss L is that of a pass of all images, and its
//! statistics S = (mean, variance) are kept fixed in the differentiated passes. There is one for each of M parts of the
//! batch:
//!
//! dL/dθ = Σ_m ∂(L_m/M)/∂θ + ∂L/∂S · ∂S/∂s_m · ∂s_m/∂θ,
//!
//! where s_m are the part's own statistics: mean = Σ mean_m / M, variance = Σ (variance_m + (mean_m − mean)²) / M. That is
//! the gradient of the undivided step, not an approximation. ∂L/∂S is the mean over the groups of the slopes of their
//! losses, in the order of ranks.
//!
//! Without micro-batches, a part is the group of a rank, and the pass of all images is the one that is differentiated.
//! With them, its activations are freed at once, and each micro-batch is passed again. Dropout draws random numbers for
//! the whole batch and uses the rows of the part.

use std::sync::Arc;

use super::losses::Objective;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Mode, Part, Seen, Share};
use crate::error::Result;
use crate::parts::network::Network;

/// The differentiable passes of a step.
pub(super) struct Passes {
    pub(super) network: Network,
    /// The key of dropout, if it is enabled.
    pub(super) random: Option<Tensor>,
    /// Random streams that were used before the pass of all images.
    pub(super) streams: u32,
    /// The pass of all images.
    pub(super) whole: Arc<Part>,
    /// Images in a micro-batch, if groups are divided into micro-batches.
    pub(super) micro: Option<usize>,
    /// The groups of the batch that this graph computes.
    pub(super) share: Share,
    /// Each of them.
    pub(super) groups: Vec<GroupPass>,
}

/// A group of images in the pass of all images.
pub(super) struct GroupPass {
    /// The images, normalised \[B, S, S, 3\].
    pub(super) images: Tensor,
    /// Their labels and losses.
    pub(super) objective: Objective,
    /// The weighted sum of their losses.
    pub(super) total: Tensor,
}

impl Passes {
    /// What each group adds to the gradients of the batch's total with respect to `parameters`.
    pub(super) fn gradients(&self, parameters: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
        let graph = self.groups[0].total.graph();
        if !self.share.is_divided() && self.micro.is_none() {
            return Ok(vec![graph.gradients(&self.groups[0].total, parameters)?]);
        }
        let Some(Seen { own, all }) = self.whole.seen.get() else {
            unreachable!("the pass of all images was recorded")
        };
        let slopes = self
            .groups
            .iter()
            .map(|group| Ok(graph.gradients(&group.total, std::slice::from_ref(all))?.swap_remove(0)));
        let slopes = slopes.collect::<Result<Vec<_>>>()?;
        let slope = if self.share.is_divided() { self.share.mean(&slopes)? } else { slopes[0].clone() };
        let statistics = all.detach()?;
        let groups = self.groups.iter().enumerate().map(|(index, group)| match self.micro {
            None => {
                let share = 1.0 / self.share.ranks as f64;
                pull_back(&group.total, &own[index], &slope, &statistics, share, parameters)
            }
            Some(micro) => self.of_micro_batches(index, micro, &slope, &statistics, parameters),
        });
        groups.collect()
    }

    /// The same of one group, micro-batch by micro-batch.
    fn of_micro_batches(
        &self,
        group: usize,
        micro: usize,
        slope: &Tensor,
        statistics: &Tensor,
        parameters: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let (graph, batch) = (statistics.graph(), self.whole.of);
        let GroupPass { images: normalised, objective, .. } = &self.groups[group];
        let own_batch = normalised.shape()[0];
        let first_of_group = (self.share.here.start + group) * own_batch;
        let share = micro as f64 / batch as f64;
        let mut sums: Option<Vec<Tensor>> = None;
        for first in (0..own_batch).step_by(micro) {
            let images = first..first + micro;
            let rows = first_of_group + images.start..first_of_group + images.end;
            let pass = Arc::new(Part::some(rows, batch).with_statistics(statistics.clone()));
            graph.reuse_random_streams(self.streams);
            let mode = Mode::Train { random: self.random.clone(), part: Some(pass.clone()) };
            let outputs = self.network.forward(&normalised.slice(0, images.clone())?, &mode)?;
            let total = (objective.losses)(&outputs, &images)?.total()?;
            let Some(seen) = pass.seen.get() else { unreachable!("the pass went through the norm") };
            let gradients = pull_back(&total, &seen.own[0], slope, statistics, share, parameters)?;
            sums = Some(match sums {
                None => gradients,
                Some(sums) => sum(&sums, &gradients)?,
            });
        }
        Ok(sums.unwrap_or_default())
    }
}

/// The sums of gradients, one by one.
pub(super) fn sum(sums: &[Tensor], more: &[Tensor]) -> Result<Vec<Tensor>> {
    sums.iter().zip(more).map(|(sum, own)| sum.add(own)).collect()
}

/// What a part of the batch with `total` and statistics `own` \[2, C\] adds to the gradients, if its images are that
/// `share` of the batch.
fn pull_back(
    total: &Tensor,
    own: &Tensor,
    slope: &Tensor,
    statistics: &Tensor,
    share: f64,
    parameters: &[Tensor],
) -> Result<Vec<Tensor>> {
    let graph = total.graph();
    let to_own = slope_of_own(slope, own, statistics, share)?;
    let to_total = graph.full(share, total.shape().clone())?;
    graph.pull_back(&[(total.clone(), to_total), (own.clone(), to_own)], parameters)
}

/// ∂L/∂s of a part's own statistics s \[2, C\] from ∂L/∂S of the whole batch's.
fn slope_of_own(slope: &Tensor, own: &Tensor, whole: &Tensor, share: f64) -> Result<Tensor> {
    let mean = |statistics: &Tensor| statistics.slice(0, 0..1);
    let (to_mean, to_variance) = (mean(slope)?, slope.slice(0, 1..2)?);
    let apart = mean(own)?.sub(&mean(whole)?)?.scale(2.0)?;
    Tensor::concat(&[&to_mean.add(&to_variance.mul(&apart)?)?, &to_variance], 0)?.scale(share)?.detach()
}
