//! The gradients of a step micro-batch by micro-batch, so that only the activations of one micro-batch are in memory.
//!
//! The images of a batch are coupled by the decoder's batch norm (method.md 2.2), and by the means over replica groups
//! (method.md 6), which micro-batches do not split. So the losses L are those of a pass of all images, whose
//! activations are freed at once, and with its statistics S = (mean, variance) kept fixed, every micro-batch m is
//! passed through the network again:
//!
//! dL/dθ = Σ_m ∂(L_m/M)/∂θ + ∂L/∂S · ∂S/∂s_m · ∂s_m/∂θ,
//!
//! where s_m are the micro-batch's own statistics: mean = Σ mean_m / M,
//! variance = Σ (variance_m + (mean_m − mean)²) / M. That is the gradient of the undivided step, not an approximation.
//! Dropout draws random numbers for the whole batch and uses the rows of the micro-batch.

use std::sync::{Arc, OnceLock};

use super::losses::Objective;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Mode, Part};
use crate::error::Result;
use crate::parts::network::Network;

/// Inputs of the passes of micro-batches through the network.
pub(super) struct MicroBatches {
    pub(super) network: Network,
    /// The key of dropout, if it is enabled.
    pub(super) random: Option<Tensor>,
    /// Random streams that were used before the pass of all images.
    pub(super) streams: u32,
    /// The pass of all images.
    pub(super) whole: Arc<Part>,
    /// Images in a micro-batch.
    pub(super) images: usize,
}

impl MicroBatches {
    /// Gradients of `total`, that of all images `image` \[B, S, S, 3\], with respect to `parameters`.
    pub(super) fn gradients(
        &self,
        image: &Tensor,
        objective: &Objective,
        total: &Tensor,
        parameters: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let graph = total.graph();
        let Some(statistics) = self.whole.own.get() else { unreachable!("the pass of all images was recorded") };
        let slope = graph.gradients(total, std::slice::from_ref(statistics))?.swap_remove(0);
        let statistics = statistics.detach()?;
        let batch = self.whole.of;
        let share = self.images as f64 / batch as f64;
        let mut sums: Option<Vec<Tensor>> = None;
        for first in (0..batch).step_by(self.images) {
            let images = first..first + self.images;
            let pass =
                Part { images: images.clone(), of: batch, whole: Some(statistics.clone()), own: OnceLock::new() };
            let pass = Arc::new(pass);
            graph.reuse_random_streams(self.streams);
            let mode = Mode::Train { random: self.random.clone(), part: Some(pass.clone()) };
            let outputs = self.network.forward(&image.slice(0, images.clone())?, &mode)?;
            let total = (objective.losses)(&outputs, &images)?.total()?;
            let Some(own) = pass.own.get() else { unreachable!("the pass went through the norm") };
            let to_own = slope_of_own(&slope, own, &statistics, share)?;
            let to_total = graph.full(share, total.shape().clone())?;
            let gradients = graph.pull_back(&[(total, to_total), (own.clone(), to_own)], parameters)?;
            sums = Some(match sums {
                None => gradients,
                Some(sums) => sums.iter().zip(&gradients).map(|(sum, own)| sum.add(own)).collect::<Result<_>>()?,
            });
        }
        Ok(sums.unwrap_or_default())
    }
}

/// ∂L/∂s of a micro-batch's own statistics s \[2, C\] from ∂L/∂S of the whole batch's.
fn slope_of_own(slope: &Tensor, own: &Tensor, whole: &Tensor, share: f64) -> Result<Tensor> {
    let mean = |statistics: &Tensor| statistics.slice(0, 0..1);
    let (to_mean, to_variance) = (mean(slope)?, slope.slice(0, 1..2)?);
    let apart = mean(own)?.sub(&mean(whole)?)?.scale(2.0)?;
    Tensor::concat(&[&to_mean.add(&to_variance.mul(&apart)?)?, &to_variance], 0)?.scale(share)?.detach()
}
