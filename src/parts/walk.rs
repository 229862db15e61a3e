//! Propagation of seeds along the predicted affinity, as AFA does (method.md 4.6): the baseline that BSP is compared
//! with.

use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::parts::affinity::radius_mask;
use crate::parts::propagation::{Scene, compete, refine_in_box, two_sided_label};

/// The constants of the walk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    /// Cells further apart than this are not neighbours (Chebyshev).
    pub radius: usize,
    /// Every affinity is raised to this power.
    pub power: usize,
    /// Added to the sums of columns.
    pub eps: f64,
}

impl Walk {
    /// The walk of the official release, with the affinity loss's radius.
    pub fn new(radius: usize) -> Self {
        Walk { radius, power: 2, eps: 0.1 }
    }

    /// One step from scores in slots \[B, h, w, P\] along `affinity` \[B, N, N\], N = h·w: a cell becomes the weighted
    /// mean of its neighbours, each column of weights divided by its sum.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn step(&self, scores: &Tensor, affinity: &Tensor) -> Result<Tensor> {
        let [batch, height, width, slots] = scores.extents()?;
        let near = affinity.detach()?.mul(&radius_mask(scores.graph(), [height, width], self.radius)?)?;
        let mut weights = near.clone();
        for _ in 1..self.power {
            weights = weights.mul(&near)?;
        }
        let weights = weights.div(&weights.sum_keep(1)?.offset(self.eps)?)?;
        let tokens = scores.reshape([batch, height * width, slots])?;
        weights.matmul_tn(&tokens)?.reshape([batch, height, width, slots])
    }

    /// `seeds` in slots \[B, H, W, P\] on `grid` against a constant background, one step further: \[B, h, w, P\].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn from_seeds(
        &self,
        seeds: &Tensor,
        classes: &Tensor,
        affinity: &Tensor,
        grid: [usize; 2],
        background: f64,
    ) -> Result<Tensor> {
        let scores = seeds.resize_channels_last(grid, false)?;
        self.step(&compete(&scores, classes, background)?, affinity)
    }
}

/// The result of [`walked_label`].
pub struct WalkedLabel {
    /// Scores after the step against the low and the high background, in slots \[B, H, W, P\].
    pub walked: [Tensor; 2],
    /// The same after refinement.
    pub refined: [Tensor; 2],
    /// The label, real-valued integers \[B, H, W\], 255 = ignore.
    pub label: Tensor,
}

/// The label of a walk (method.md 4.6): `seeds` in slots \[B, H, W, P\] against a low and a high background take one
/// step along `affinity` \[B, N, N\] on `grid`, and are refined inside the picture box.
///
/// # Errors
/// If the shapes do not fit.
pub fn walked_label(
    seeds: &Tensor,
    affinity: &Tensor,
    grid: [usize; 2],
    scene: &Scene,
    walk: &Walk,
    thresholds: [f64; 2],
) -> Result<WalkedLabel> {
    let classes = &scene.classes;
    let [_, height, width, slots] = seeds.extents()?;
    let [low, high] = thresholds.map(|background| {
        walk.from_seeds(seeds, classes, affinity, grid, background)?.resize_channels_last([height, width], false)
    });
    let walked = [low?, high?];
    // Both refinements share one affinity: they are stacked along the slots.
    let stacked = Tensor::concat(&[&walked[0], &walked[1]], 3)?;
    let refined = refine_in_box(&stacked, &Tensor::concat(&[classes, classes], 1)?, scene)?;
    let refined = [refined.slice(3, 0..slots)?, refined.slice(3, slots..2 * slots)?];
    let label = two_sided_label(&refined[1], &refined[0], scene)?;
    Ok(WalkedLabel { walked, refined, label })
}
