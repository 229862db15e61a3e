//! Layers. A layer is made once per graph, with its parameters, and applied as often as the model wants.
//!
//! Features are channels-last: tokens \[B, N, C\], or \[B, H, W, C\] where the grid matters.

mod attention;
mod layers;
mod parameters;

pub use attention::{Attention, Block, Grid, MixFfn};
pub use layers::{BatchNorm, Conv2d, DepthwiseConv2d, LayerNorm, Linear, drop_path, dropout_channels};
pub use parameters::{Init, Parameter, Scope};

use crate::graph::Tensor;

/// How a forward pass treats batch norm and dropout.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Batch statistics, which also move the running ones; dropout and drop path draw from `random`, the key of the
    /// step (see [`crate::ops::random`]). Without a key nothing is dropped.
    Train {
        /// i32 \[3\]: seed (low, high) and step.
        random: Option<Tensor>,
    },
    /// Running statistics, nothing dropped.
    Eval,
}
