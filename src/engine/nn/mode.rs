//! Mode of a forward pass: batch statistics, dropout and micro-batches.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::engine::graph::Tensor;
use crate::error::Result;

/// A part of a batch (micro-batch) that is passed through the network on its own, and what couples it with the rest.
#[derive(Debug)]
pub struct Part {
    /// The images.
    pub images: Range<usize>,
    /// Images in the batch: dropout draws random numbers for all of them.
    pub of: usize,
    /// Batch statistics \[2, C\] of the whole batch; without them, batch norm uses those of the part, and updates the
    /// running ones.
    pub whole: Option<Tensor>,
    /// Statistics of the part, set by batch norm.
    pub own: OnceLock<Tensor>,
}

/// Mode of batch norm and dropout.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Batch statistics, which also update the running ones; dropout and drop path draw from `random`, the key of the
    /// step (see [`crate::engine::ops::random`]). Without a key nothing is dropped.
    Train {
        /// i32 \[3\]: seed (low, high) and step.
        random: Option<Tensor>,
        /// The part of the batch, for micro-batches.
        part: Option<Arc<Part>>,
    },
    /// Running statistics, no dropout.
    Eval,
}

/// Records `layer` on the parts of a batch, one after another. If `mode` has the batch, the parts draw its random
/// numbers, each its own rows; otherwise each draws different ones.
pub fn each_part<T>(parts: &[Tensor], mode: &Mode, layer: impl Fn(&Tensor, &Mode) -> Result<T>) -> Result<Vec<T>> {
    let (Mode::Train { random, part: Some(all) }, [first, ..]) = (mode, parts) else {
        return parts.iter().map(|x| layer(x, mode)).collect();
    };
    let (graph, mut end) = (first.graph(), all.images.start);
    let streams = graph.random_streams();
    let each = parts.iter().map(|x| {
        graph.reuse_random_streams(streams);
        let images = end..end + x.shape()[0];
        end = images.end;
        let part = Part { images, of: all.of, whole: all.whole.clone(), own: OnceLock::new() };
        layer(x, &Mode::Train { random: random.clone(), part: Some(Arc::new(part)) })
    });
    each.collect()
}
