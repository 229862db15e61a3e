//! The gradients of a step part by part of its batch, so that only one part's activations are held for them.
//!
//! What couples the images of a batch is the decoder's batch norm (spec 2.2), and the means over replica groups (spec
//! 6), which parts do not cut. So the losses L are those of a pass of all images, whose activations die at once, and with
//! its statistics S = (mean, variance) kept fixed every part m is passed through the network again:
//!
//! dL/dθ = Σ_m ∂(L_m/M)/∂θ + ∂L/∂S · ∂S/∂s_m · ∂s_m/∂θ,
//!
//! where s_m are the part's own statistics: mean = Σ mean_m / M, variance = Σ (variance_m + (mean_m − mean)²) / M. That
//! is the gradient of the undivided step, not an approximation. Dropout draws for the whole batch and takes its rows.

use std::sync::Arc;
use std::sync::OnceLock;

use super::iteration::{Labels, losses_of};
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Mode, Part};
use crate::error::Result;
use crate::method::bmp::schedule::Phase;
use crate::parts::network::Network;
use crate::parts::propagation::Scene;

/// What passing parts of the batch through the network again needs.
pub(crate) struct Division {
    pub(crate) network: Network,
    pub(crate) config: Config,
    pub(crate) phase: Phase,
    pub(crate) random: Option<Tensor>,
    /// Random streams that were taken before the pass of all images.
    pub(crate) streams: u32,
    /// The pass of all images as a part.
    pub(crate) whole: Arc<Part>,
    /// Images in a part.
    pub(crate) images: usize,
}

impl Division {
    /// Gradients of `total`, that of all images, with respect to `parameters`.
    pub(crate) fn gradients(
        &self,
        image: &Tensor,
        tags: &Tensor,
        labels: &Labels,
        scene: &Scene,
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
            let part =
                Part { images: images.clone(), of: batch, whole: Some(statistics.clone()), own: OnceLock::new() };
            let part = Arc::new(part);
            graph.reuse_random_streams(self.streams);
            let mode = Mode::Train { random: self.random.clone(), part: Some(part.clone()) };
            let outputs = self.network.forward(&image.slice(0, images.clone())?, &mode)?;
            let (labels, tags) = (labels.of(images.clone())?, tags.slice(0, images.clone())?);
            let (_, total) = losses_of(&self.config, self.phase, &outputs, &labels, &tags, &scene.of(images)?)?;
            let Some(own) = part.own.get() else { unreachable!("the pass went through the norm") };
            let to_own = slope_of_own(&slope, own, &statistics, share)?;
            let to_total = graph.full(share, total.shape().clone())?;
            let gradients = graph.pull_back(&[(total, to_total), (own.clone(), to_own)], parameters)?;
            sums = Some(match sums {
                None => gradients,
                Some(sums) => sums.iter().zip(&gradients).map(|(sum, part)| sum.add(part)).collect::<Result<_>>()?,
            });
        }
        Ok(sums.unwrap_or_default())
    }
}

/// ∂L/∂s of a part's own statistics s \[2, C\] from ∂L/∂S of the whole batch's.
fn slope_of_own(slope: &Tensor, own: &Tensor, whole: &Tensor, share: f64) -> Result<Tensor> {
    let mean = |statistics: &Tensor| statistics.slice(0, 0..1);
    let (to_mean, to_variance) = (mean(slope)?, slope.slice(0, 1..2)?);
    let apart = mean(own)?.sub(&mean(whole)?)?.scale(2.0)?;
    Tensor::concat(&[&to_mean.add(&to_variance.mul(&apart)?)?, &to_variance], 0)?.scale(share)?.detach()
}
