//! How much work is submitted at a time. A desktop draws with the same device, and an operating system resets a device
//! that does not respond for two seconds: so no dispatch and no submission is long.
//!
//! Time is estimated from the operations and bytes of a launch by the target's [`Pace`].

use std::ops::Range;

use crate::engine::kernel::{Launches, Pace};

/// Most nanoseconds of a dispatch: 100 ms.
pub const DISPATCH: u64 = 100_000_000;

/// Dispatches into which a launch is cut, at most: half an hour. Nobody waits for a longer one, which most likely does
/// not fit the device either; planned in pieces, it would fill the host's memory before that is known.
const PIECES: u64 = 1 << 14;

/// Most nanoseconds of a submission, unless it is a single dispatch: 500 ms.
const SUBMISSION: u64 = 500_000_000;

/// The same with `nice`: 20 ms, with a pause after each.
const NICE_SUBMISSION: u64 = 20_000_000;

/// Cuts every launch of an op, with its traffic, into dispatches of at most [`DISPATCH`], or into [`PIECES`].
pub(super) fn cut(launches: Launches, traffic: Vec<u64>, pace: Pace) -> (Launches, Vec<u64>) {
    let mut cut = (Launches { list: Vec::new(), scratch: launches.scratch }, Vec::new());
    for (launch, traffic) in launches.list.into_iter().zip(traffic) {
        let time = pace.time(launch.operations, traffic);
        let pieces = launch.pieces(time.div_ceil(DISPATCH).min(PIECES));
        cut.1.extend(vec![traffic.div_ceil(pieces.len() as u64); pieces.len()]);
        cut.0.list.extend(pieces);
    }
    cut
}

/// Neighbouring dispatches that are submitted together, given the time of each. A submission ends before each of the
/// dispatches `cuts`.
pub(super) fn submissions(times: &[u64], cuts: &[usize], nice: bool) -> Vec<Range<usize>> {
    let most = if nice { NICE_SUBMISSION } else { SUBMISSION };
    let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0);
    for (index, time) in times.iter().enumerate() {
        sum += time;
        if (sum > most || cuts.contains(&index)) && index > start {
            parts.push(start..index);
            (start, sum) = (index, *time);
        }
    }
    parts.push(start..times.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: every dispatch is submitted once and in order, and only a single dispatch may exceed the limit.
    #[test]
    fn submissions_are_short_and_complete() {
        let nothing = submissions(&[], &[], false);
        assert!(nothing.len() == 1 && nothing[0].is_empty(), "an empty program is one submission");
        let half = SUBMISSION / 2;
        assert_eq!(submissions(&[half, half, 1, 3 * half, 1, 2], &[], false), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(submissions(&[NICE_SUBMISSION, 1], &[], true), [0..1, 1..2]);
        assert_eq!(submissions(&[1; 4], &[0, 1, 1, 3, 4], false), [0..1, 1..3, 3..4]);
    }
}
