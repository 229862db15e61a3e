//! The interface of an encoder: sizes as data, layers that are recorded once per graph, features as output.

use std::fmt;

#[cfg(feature = "native")]
use super::exporter::Exporter;
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
    /// Stride: side, in pixels of the image, of a cell of the level's grid.
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
    /// The level of a map \[B, H, W, C\], as computed by convolutions.
    ///
    /// # Errors
    /// If the map does not have four axes.
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

/// The output of an encoder for a batch of images.
#[derive(Clone)]
pub struct Features {
    /// The levels, fine to coarse, as [`Encoder::levels`] describes them. Seeds are computed from the last one.
    pub levels: Vec<Level>,
    /// Raw attention scores \[B, heads, N, N\] between the tokens of the last level, which the affinity head reads: one
    /// entry for each of [`Encoder::score_heads`].
    pub scores: Vec<Scores>,
}

/// An encoder of known sizes. It describes itself as data, and records its layers once in each graph.
///
/// A new encoder is a file with this trait and a line of [`super::ENCODERS`]. One without attention returns no scores:
/// the network then has no affinity head, and methods train without an affinity loss.
pub trait Encoder: fmt::Debug + Send + Sync {
    /// Its name, as in the option `model.backbone`.
    fn name(&self) -> &str;

    /// Channels and strides of its levels, fine to coarse; at least one.
    fn levels(&self) -> Vec<LevelSize>;

    /// Heads of every attention whose scores it returns; empty for an encoder without attention.
    fn score_heads(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The smallest supported side of an image, in pixels.
    fn smallest_side(&self) -> usize;

    /// Elements of its widest feature map for one image of `[height, width]`.
    fn widest(&self, size: [usize; 2]) -> usize;

    /// Whether it draws random numbers in training, such as drop path. Otherwise two passes over the same images have
    /// the same features, and the second is not computed.
    fn is_random(&self) -> bool {
        true
    }

    /// Whether a parameter, given by its whole name, belongs to a norm: the optimiser's group `norm`.
    fn is_norm(&self, parameter: &str) -> bool {
        parameter.contains("norm")
    }

    /// The first level, counted from 0, whose features depend on a parameter, given by its whole name.
    fn level_of(&self, parameter: &str) -> usize;

    /// Checks the options that only this encoder uses, such as `model.strides`. Constraints from its sizes (crops,
    /// scales) are checked for all encoders by [`super::check`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for an invalid option.
    fn check(&self, _config: &Config) -> Result<()> {
        Ok(())
    }

    /// Records its parameters in `scope`, whose name is [`SCOPE`].
    ///
    /// # Errors
    /// [`Error::Graph`](crate::error::Error::Graph) if its sizes are invalid.
    fn record(&self, scope: &Scope) -> Result<Box<dyn EncoderLayers>>;

    /// Appends its operators and weights to a network that is written as ONNX: normalised images \[N, 3, H, W\] → the maps
    /// of its levels, \[N, C, h, w\], fine to coarse.
    ///
    /// # Errors
    /// If it cannot be written as ONNX.
    #[cfg(feature = "native")]
    fn export(&self, _exporter: &mut Exporter<'_>, _image: &str) -> Result<Vec<String>> {
        Err(crate::error::Error::Graph(format!("encoder `{}` cannot be written as ONNX", self.name())))
    }

    /// Its sizes as entries of the configuration of SegFormer in Hugging Face's Transformers, if it is an encoder of
    /// SegFormer.
    #[cfg(feature = "native")]
    fn segformer(&self) -> Option<serde_json::Map<String, serde_json::Value>> {
        None
    }

    /// The names of its modules in files of other programs.
    fn names_elsewhere(&self) -> &'static [NamesElsewhere] {
        &[]
    }

    /// The name of the encoder that tensors belong to, given by native names with their shapes, if it is one of this
    /// family: the name of a listed encoder, or a description of its sizes.
    fn recognise(&self, _tensors: &[(&str, &[usize])]) -> Option<String> {
        None
    }
}

/// The recorded layers of an encoder. The network may apply them several times.
pub trait EncoderLayers {
    /// Normalised images \[B, H, W, 3\] → features of all levels. Layers with batch statistics must be
    /// applied in evaluation mode, since only the decoder's norm may couple the images of a batch.
    ///
    /// # Errors
    /// If the image is too small.
    fn forward(&self, image: &Tensor, mode: &Mode) -> Result<Features>;
}
