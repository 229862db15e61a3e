//! The share of a training step that one graph computes, and what it gathers from the others.

use std::ops::Range;

use crate::engine::graph::Tensor;
use crate::engine::ops::pack::Packed;
use crate::error::{Error, Result};

/// A batch is divided into `ranks` groups of neighbouring images, equally many each; a graph computes the groups `here`.
/// It is all of them, or one, whose peers are other processes.
///
/// What couples images of several groups is computed from one contribution of each, in the order of the groups. The same
/// ops compute it from tensors of the same shapes, wherever the groups are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Groups of the batch.
    pub ranks: usize,
    /// Those of this graph.
    pub here: Range<usize>,
}

impl Share {
    /// All of `ranks` groups.
    pub fn whole(ranks: usize) -> Self {
        Share { ranks, here: 0..ranks }
    }

    /// Whether the batch has more than one group.
    pub fn is_divided(&self) -> bool {
        self.ranks > 1
    }

    /// The contributions of all groups in order, \[ranks, …\], from those of the groups `here`, which have one shape.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is not one for each group of this graph.
    #[track_caller]
    pub fn gather(&self, own: &[Tensor]) -> Result<Tensor> {
        self.check(own.len())?;
        if let ([own], true) = (own, self.is_divided()) {
            return own.gather_ranks(self.ranks);
        }
        let one = |own: &Tensor| own.reshape([&[1], &own.shape()[..]].concat());
        let all = own.iter().map(one).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&all.iter().collect::<Vec<_>>(), 0)
    }

    /// The mean over the groups of their contributions.
    ///
    /// # Errors
    /// As [`Share::gather`].
    #[track_caller]
    pub fn mean(&self, own: &[Tensor]) -> Result<Tensor> {
        let shape = own.first().map(|own| own.shape().clone()).unwrap_or_default();
        self.gather(own)?.sum_keep(0)?.scale(1.0 / self.ranks as f64)?.reshape(shape)
    }

    /// The sums over all groups, in order, of packed tensors, from those of the groups `here`.
    ///
    /// # Errors
    /// [`Error::Graph`] if there is not one for each group of this graph, or their packings differ.
    #[track_caller]
    pub fn sum(&self, own: Vec<Packed>) -> Result<Packed> {
        self.check(own.len())?;
        let [first, rest @ ..] = &own[..] else { return Err(Error::misuse("a batch has no groups")) };
        let mut sums: Vec<Tensor> = first.values().into_iter().cloned().collect();
        for own in rest {
            sums = sums.iter().zip(own.values()).map(|(sum, own)| sum.add(own)).collect::<Result<_>>()?;
        }
        if own.len() < self.ranks {
            sums = sums.iter().map(|own| own.sum_ranks(self.ranks)).collect::<Result<_>>()?;
        }
        first.with_values(sums)
    }

    #[track_caller]
    fn check(&self, given: usize) -> Result<()> {
        match self.here.len() {
            groups if groups == given => Ok(()),
            groups => Err(Error::misuse(format!("{given} contributions were given for {groups} groups of the batch"))),
        }
    }
}
