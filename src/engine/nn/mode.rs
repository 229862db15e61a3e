//! Mode of a forward pass: batch statistics, dropout, micro-batches and ranks.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::share::Share;
use crate::engine::graph::Tensor;
use crate::error::{Error, Result};

/// A part of a batch that is passed through the network on its own (a micro-batch, or the groups of some ranks), and
/// what couples it with the rest.
#[derive(Debug, Default)]
pub struct Part {
    /// Its images, in order, by their numbers in the batch.
    pub rows: Vec<Range<usize>>,
    /// Images in the batch: dropout draws random numbers for all of them.
    pub of: usize,
    /// Batch statistics \[2, C\] of the whole batch; without them, batch norm uses those of the part, and updates the
    /// running ones.
    pub whole: Option<Tensor>,
    /// The groups of a batch that is divided among ranks: batch norm uses the statistics of all groups, whose gradient
    /// the step records by itself.
    pub groups: Option<Groups>,
    /// Set by batch norm.
    pub seen: OnceLock<Seen>,
}

/// The groups of a batch that a pass is for. Each is passed in the same number of tensors.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Those of this graph among all.
    pub share: Share,
    /// Whether the pass is for labels, and so comes before the differentiable one.
    pub labels: bool,
}

/// Statistics of batch norm.
#[derive(Debug)]
pub struct Seen {
    /// Those of each group, or of the part if it has no groups: \[2, C\].
    pub own: Vec<Tensor>,
    /// Those of all groups: \[2, C\].
    pub all: Tensor,
}

impl Part {
    /// All `images` of a batch.
    pub fn whole(images: usize) -> Self {
        Part::some(0..images, images)
    }

    /// The images `rows` of a batch of `of`.
    pub fn some(rows: Range<usize>, of: usize) -> Self {
        Part { rows: vec![rows], of, ..Part::default() }
    }

    /// This part with the statistics of the whole batch.
    pub fn with_statistics(self, whole: Tensor) -> Self {
        Part { whole: Some(whole), ..self }
    }

    /// The rows of this part of a tensor \[of, …\].
    pub(super) fn of_batch(&self, batch: &Tensor) -> Result<Tensor> {
        let rows = self.rows.iter().map(|rows| batch.slice(0, rows.clone())).collect::<Result<Vec<_>>>()?;
        match &rows[..] {
            [only] => Ok(only.clone()),
            several => Tensor::concat(&several.iter().collect::<Vec<_>>(), 0),
        }
    }
}

/// Mode of batch norm and dropout.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Batch statistics, which also update the running ones; dropout and drop path draw from `random`, the key of the
    /// step (see [`crate::engine::ops::random`]). Without a key nothing is dropped.
    Train {
        /// i32 \[3\]: seed (low, high) and step.
        random: Option<Tensor>,
        /// The part of the batch, for micro-batches and ranks.
        part: Option<Arc<Part>>,
    },
    /// Running statistics, no dropout.
    Eval,
}

/// Records `layer` on the parts of a batch, one after another. If `mode` has the batch, the parts draw its random
/// numbers, each its own rows; otherwise each draws different ones.
///
/// # Errors
/// Those of `layer`, and if a part has no axes where the parts draw their own rows.
#[track_caller]
pub fn each_part<T>(parts: &[Tensor], mode: &Mode, layer: impl Fn(&Tensor, &Mode) -> Result<T>) -> Result<Vec<T>> {
    let (Mode::Train { random, part: Some(all) }, [first, ..]) = (mode, parts) else {
        return parts.iter().map(|x| layer(x, mode)).collect();
    };
    if let Some(x) = parts.iter().find(|x| x.shape().rank() == 0) {
        return Err(Error::misuse(format!("parts of a batch: {x:?} has no axis of images")));
    }
    let (graph, mut left) = (first.graph(), all.rows.clone());
    let streams = graph.random_streams();
    let each = parts.iter().map(|x| {
        graph.reuse_random_streams(streams);
        let rows = take(&mut left, x.shape()[0]);
        let part = Part { rows, of: all.of, whole: all.whole.clone(), ..Part::default() };
        layer(x, &Mode::Train { random: random.clone(), part: Some(Arc::new(part)) })
    });
    each.collect()
}

/// Takes the first `count` numbers from `ranges`, or all if there are fewer.
fn take(ranges: &mut Vec<Range<usize>>, mut count: usize) -> Vec<Range<usize>> {
    let mut taken = Vec::new();
    while count > 0 && !ranges.is_empty() {
        let first = &mut ranges[0];
        let end = first.end.min(first.start + count);
        taken.push(first.start..end);
        count -= end - first.start;
        first.start = end;
        if first.start == first.end {
            ranges.remove(0);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the tensors of a pass draw the random numbers of their own images, also where these are not neighbours.
    #[test]
    fn numbers_are_taken_in_order() {
        let mut ranges = vec![2..4, 6..8];
        assert_eq!(take(&mut ranges, 3), [2..4, 6..7]);
        let rest = take(&mut ranges, 5);
        assert_eq!((rest.len(), rest[0].clone()), (1, 7..8));
        assert!(ranges.is_empty() && take(&mut ranges, 1).is_empty());
    }
}
