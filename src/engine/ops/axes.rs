//! Axes by number. As in NumPy, a negative number counts from the end: −1 is the last axis.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use super::matmul::mismatch;
use crate::engine::graph::Tensor;
use crate::error::Result;

/// The axes that a reduction takes: one (`-1`), several (`[0, 2]`), neighbours (`1..3`, `-2..`) or all (`..`).
///
/// ```
/// use tagseg::engine::graph::{DType, Graph};
///
/// let x = Graph::new().input("x", [2, 3, 4, 5], DType::F32);
/// assert_eq!(&x.mean(1)?.shape()[..], &[2, 4, 5]);
/// assert_eq!(&x.sum([0, -1])?.shape()[..], &[3, 4]);
/// assert_eq!(&x.max(-2..)?.shape()[..], &[2, 3]);
/// assert_eq!(&x.min(..)?.shape()[..], &[0; 0]);
/// assert_eq!(&x.sum_keep(1..3)?.shape()[..], &[2, 1, 1, 5]);
/// # Ok::<(), tagseg::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes(Chosen);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    List(Vec<isize>),
    /// Neighbours; an open end is that of the shape.
    Range(Option<isize>, Option<isize>),
}

impl Axes {
    /// The axes of a tensor of `rank` axes in ascending order, or why they are invalid.
    fn of(&self, rank: usize) -> Result<Vec<usize>, String> {
        let mut axes = match &self.0 {
            Chosen::List(list) if list.is_empty() => return Err("no axis is given; use `..` for all".into()),
            Chosen::List(list) => list.iter().map(|&axis| counted(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            Chosen::Range(None, None) => (0..rank).collect(),
            Chosen::Range(start, end) => {
                let place = |end: isize| if end < 0 { end + rank as isize } else { end };
                let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(rank as isize)));
                if start < 0 || start >= end || end > rank as isize {
                    return Err(format!("{start}..{end} is not a range of {rank} axes"));
                }
                (start as usize..end as usize).collect()
            }
        };
        axes.sort_unstable();
        match axes.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(format!("axis {} is given twice", twice[0])),
            None => Ok(axes),
        }
    }
}

/// The number of an axis from the front.
fn counted(axis: isize, rank: usize) -> Result<usize, String> {
    let from_front = if axis < 0 { axis + rank as isize } else { axis };
    match usize::try_from(from_front) {
        Ok(found) if found < rank => Ok(found),
        _ => Err(format!("axis {axis} is out of range for {rank} axes")),
    }
}

impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Axes(Chosen::List(vec![axis]))
    }
}

impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Axes(Chosen::List(axes.to_vec()))
    }
}

impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Axes(Chosen::List(axes.to_vec()))
    }
}

impl From<Range<isize>> for Axes {
    fn from(axes: Range<isize>) -> Self {
        Axes(Chosen::Range(Some(axes.start), Some(axes.end)))
    }
}

impl From<RangeFrom<isize>> for Axes {
    fn from(axes: RangeFrom<isize>) -> Self {
        Axes(Chosen::Range(Some(axes.start), None))
    }
}

impl From<RangeTo<isize>> for Axes {
    fn from(axes: RangeTo<isize>) -> Self {
        Axes(Chosen::Range(None, Some(axes.end)))
    }
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Self {
        Axes(Chosen::Range(None, None))
    }
}

impl Tensor {
    /// The number of an axis from the front, for the method that records `op`.
    #[track_caller]
    pub(super) fn axis(&self, op: &'static str, axis: isize) -> Result<usize> {
        match counted(axis, self.shape().rank()) {
            Ok(axis) => Ok(axis),
            Err(reason) => Err(mismatch(op, &[self], &reason)),
        }
    }

    /// The numbers of axes from the front, in ascending order, for the method that records `op`.
    #[track_caller]
    pub(super) fn axes(&self, op: &'static str, axes: &Axes) -> Result<Vec<usize>> {
        match axes.of(self.shape().rank()) {
            Ok(axes) => Ok(axes),
            Err(reason) => Err(mismatch(op, &[self], &reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(axes: impl Into<Axes>, rank: usize) -> [usize; N] {
        axes.into().of(rank).unwrap().try_into().unwrap()
    }

    /// Protects: axes are counted from the end as in NumPy, in lists and in ranges, whatever their order.
    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(of(-1, 4), [3]);
        assert_eq!(of([-1, 0, -3], 4), [0, 1, 3]);
        assert_eq!((of(1..3, 4), of(..-1, 4), of(-2.., 4), of(..2, 4)), ([1, 2], [0, 1, 2], [2, 3], [0, 1]));
        assert_eq!((of(.., 3), of(.., 0)), ([0, 1, 2], []));
    }

    /// Protects: an axis that does not exist, or is given twice, is an error that names it.
    #[test]
    fn axes_that_do_not_exist() {
        let refused = |axes: Axes, rank: usize| axes.of(rank).unwrap_err();
        assert_eq!(refused(4.into(), 4), "axis 4 is out of range for 4 axes");
        assert_eq!(refused((-5).into(), 4), "axis -5 is out of range for 4 axes");
        assert_eq!(refused([1, -3].into(), 4), "axis 1 is given twice");
        assert_eq!(refused((3..5).into(), 4), "3..5 is not a range of 4 axes");
        assert_eq!(refused((2..2).into(), 4), "2..2 is not a range of 4 axes");
        assert_eq!(refused([].into(), 4), "no axis is given; use `..` for all");
    }
}
