//! How much a device is given at a time. A desktop draws with the same device, and an operating system takes one away
//! that does not answer for two seconds: so no dispatch and no submission is long.
//!
//! Time is foreseen from what a launch says of itself, for a device that does 10¹² operations and moves 10¹¹ bytes in a
//! second, which is less than any card of the last ten years.

use std::ops::Range;

use crate::engine::kernel::Launches;

/// Operations in a second.
const OPERATIONS: u64 = 1_000_000_000_000;

/// Operations in the time of one byte.
const BALANCE: u64 = 10;

/// Operations of a dispatch at most: 100 ms.
pub const DISPATCH: u64 = OPERATIONS / 10;

/// Operations of a submission at most, unless it is one dispatch: 500 ms.
const SUBMISSION: u64 = OPERATIONS / 2;

/// The same where others shall hardly notice: 20 ms, and a rest after each.
const NICE_SUBMISSION: u64 = OPERATIONS / 50;

/// The operations that a dispatch takes the time of, from those that it counts and the bytes that it moves.
pub fn work(operations: u64, traffic: u64) -> u64 {
    operations.max(BALANCE * traffic)
}

/// Cuts every launch of an op, with its traffic, into dispatches of at most [`DISPATCH`].
pub(super) fn cut(launches: Launches, traffic: Vec<u64>) -> (Launches, Vec<u64>) {
    let mut cut = (Launches { list: Vec::new(), scratch: launches.scratch }, Vec::new());
    for (launch, traffic) in launches.list.into_iter().zip(traffic) {
        let work = work(launch.operations, traffic);
        let pieces = launch.pieces(work.div_ceil(DISPATCH));
        cut.1.extend(vec![traffic.div_ceil(pieces.len() as u64); pieces.len()]);
        cut.0.list.extend(pieces);
    }
    cut
}

/// Neighbouring dispatches that are submitted together, given the work of each.
pub(super) fn submissions(work: &[u64], nice: bool) -> Vec<Range<usize>> {
    let most = if nice { NICE_SUBMISSION } else { SUBMISSION };
    let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0);
    for (index, work) in work.iter().enumerate() {
        sum += work;
        if sum > most && index > start {
            parts.push(start..index);
            (start, sum) = (index, *work);
        }
    }
    parts.push(start..work.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: every dispatch is submitted once and in order, and only a dispatch alone may exceed the limit.
    #[test]
    fn submissions_are_short_and_complete() {
        let nothing = submissions(&[], false);
        assert!(nothing.len() == 1 && nothing[0].is_empty(), "an empty program is one submission");
        let half = SUBMISSION / 2;
        assert_eq!(submissions(&[half, half, 1, 3 * half, 1, 2], false), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(submissions(&[NICE_SUBMISSION, 1], true), [0..1, 1..2]);
    }

    #[test]
    fn what_moves_much_counts_as_work() {
        assert_eq!(work(7, 0), 7);
        assert_eq!(work(7, 100), 1000);
    }
}
