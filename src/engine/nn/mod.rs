//! Layers. A layer is created once per graph, with its parameters, and applied as often as needed.
//!
//! Features are channels-last: tokens \[B, N, C\], or \[B, H, W, C\] where the grid matters.

mod attention;
mod layers;
mod mode;
mod parameters;
mod share;

pub use attention::{Attention, Block, Grid, MixFfn, Scores};
pub use layers::{BatchNorm, Conv2d, DepthwiseConv2d, LayerNorm, Linear, drop_path, dropout_channels};
pub use mode::{Groups, Mode, Part, Seen, each_part};
pub use parameters::{Init, Parameter, Scope};
pub use share::Share;
