//! What an encoder is: sizes as data, layers that are recorded once a graph, features out.

use std::fmt;

use super::names::NamesElsewhere;
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::engine::nn::{Grid, Mode, Scope, Scores};
use crate::error::Result;

/// The scope of an encoder's parameters: their names begin with `encoder.`.
pub const SCOPE: &str = "encoder";

/// Channels and stride of one level of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSize {
    /// Channels.
    pub channels: usize,
    /// Pixels of the image, along a side, for each cell of the level's grid.
    pub stride: usize,
}

/// Features of one level.
#[derive(Clone)]
pub struct Level {
    /// Tokens \[B, N, C\], the cells of the grid row by row.
    pub tokens: Tensor,
    /// Their grid, N = height · width.
    pub grid: Grid,
}

impl Level {
    /// The level of a map \[B, H, W, C\], as convolutions give it.
    ///
    /// # Errors
    /// If the map has not four axes.
    pub fn of_map(map: &Tensor) -> Result<Self> {
        let [batch, height, width, channels] = map.extents()?;
        let grid = Grid { height, width };
        Ok(Level { tokens: map.reshape([batch, grid.tokens(), channels])?, grid })
    }

    /// The features as a map \[B, H, W, C\].
    ///
    /// # Errors
    /// If the tokens do not fill the grid.
    pub fn map(&self) -> Result<Tensor> {
        let [batch, _, channels] = self.tokens.extents()?;
        self.tokens.reshape([batch, self.grid.height, self.grid.width, channels])
    }
}

/// What an encoder gives for a batch of images.
pub struct Features {
    /// The levels, fine to coarse, as [`Encoder::levels`] describes them. Seeds are made of the last one.
    pub levels: Vec<Level>,
    /// Raw attention scores \[B, heads, N, N\] between the tokens of the last level, which the affinity head reads: one
    /// entry for each of [`Encoder::score_heads`].
    pub scores: Vec<Scores>,
}

/// An encoder of known sizes. It describes itself as data, and records its layers once in each graph.
///
/// A new encoder is a file with this trait and a line of [`super::ENCODERS`]. One without attention gives no scores:
/// the network then has no affinity head, and methods train without an affinity loss.
pub trait Encoder: fmt::Debug + Send + Sync {
    /// Its name, as in the option `model.backbone`.
    fn name(&self) -> &str;

    /// Channels and strides of its levels, fine to coarse; at least one.
    fn levels(&self) -> Vec<LevelSize>;

    /// Heads of every attention whose scores it gives; empty for an encoder without attention.
    fn score_heads(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The smallest side of an image, in pixels, that it takes.
    fn smallest_side(&self) -> usize;

    /// Elements of its widest feature map for one image of `[height, width]`.
    fn widest(&self, size: [usize; 2]) -> usize;

    /// Whether a parameter, given by its whole name, belongs to a norm: the optimiser's group `norm`.
    fn is_norm(&self, parameter: &str) -> bool {
        parameter.contains("norm")
    }

    /// Checks the options that only this encoder uses, such as `model.strides`. What follows from its sizes (crops,
    /// scales) is checked for all encoders by [`super::check`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for an option that it does not take.
    fn check(&self, _config: &Config) -> Result<()> {
        Ok(())
    }

    /// Records its parameters in `scope`, whose name is [`SCOPE`].
    ///
    /// # Errors
    /// [`Error::Graph`](crate::error::Error::Graph) if its sizes make no encoder.
    fn record(&self, scope: &Scope) -> Result<Box<dyn EncoderLayers>>;

    /// The names of its modules in the files of others.
    fn names_elsewhere(&self) -> &'static [NamesElsewhere] {
        &[]
    }

    /// What to call the encoder that tensors belong to, given by our names with their shapes, if it is one of this
    /// family: the name of a listed encoder, or a description of its sizes.
    fn recognise(&self, _tensors: &[(&str, &[usize])]) -> Option<String> {
        None
    }
}

/// The recorded layers of an encoder. They are applied as often as the network asks.
pub trait EncoderLayers {
    /// Normalised images \[B, H, W, 3\] → features of all levels. Layers that keep statistics of a batch are to be
    /// applied in evaluation form, since only the decoder's norm may couple the images of a batch.
    ///
    /// # Errors
    /// If the image is too small.
    fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Features>;
}
