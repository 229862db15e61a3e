//! The buffers of a plan: values that are never alive together share one.

use std::ops::RangeInclusive;

/// A value that needs a buffer while the steps of `life` run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Bytes, a multiple of 256.
    pub bytes: u64,
    /// From the step that writes it to the last that reads it.
    pub life: RangeInclusive<usize>,
    /// Its buffer of the pool.
    pub buffer: usize,
}

impl Value {
    /// A value that has no buffer yet.
    pub(super) fn new(bytes: u64, life: RangeInclusive<usize>) -> Self {
        Value { bytes: bytes.next_multiple_of(256), life, buffer: usize::MAX }
    }
}

/// Gives every value a buffer and returns the bytes of all buffers.
///
/// All lives are known, so the largest values choose first, the earlier of equals before the later: each takes the
/// smallest buffer that is free during its whole life, or opens one of its own size. A buffer is hence never larger
/// than its first value, and small values fill the gaps that large ones leave.
pub(super) fn share(values: &mut [Value]) -> Vec<u64> {
    let mut by_size: Vec<_> = (0..values.len()).collect();
    by_size.sort_by_key(|&index| (std::cmp::Reverse(values[index].bytes), *values[index].life.start()));
    let mut sizes: Vec<u64> = Vec::new();
    // Lives in every buffer, ordered: none overlap.
    let mut lives: Vec<Vec<RangeInclusive<usize>>> = Vec::new();
    for index in by_size {
        let life = values[index].life.clone();
        let gap = |taken: &Vec<RangeInclusive<usize>>| {
            let at = taken.partition_point(|other| other.end() < life.start());
            taken.get(at).is_none_or(|next| life.end() < next.start()).then_some(at)
        };
        // Buffers stand from the largest to the smallest.
        let found = (0..sizes.len()).rev().find_map(|buffer| gap(&lives[buffer]).map(|at| (buffer, at)));
        let (buffer, at) = found.unwrap_or_else(|| {
            sizes.push(values[index].bytes);
            lives.push(Vec::new());
            (sizes.len() - 1, 0)
        });
        lives[buffer].insert(at, life);
        values[index].buffer = buffer;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: no two values are in one buffer at the same step, and none is in a buffer too small for it.
    #[test]
    fn values_alive_together_never_share() {
        let mut values: Vec<_> = (0..300_usize)
            .map(|index| {
                let start = index * 7919 % 200;
                Value::new((index * 31 % 97 * 100) as u64 + 1, start..=start + index * 13 % 40)
            })
            .collect();
        let sizes = share(&mut values);
        for (index, one) in values.iter().enumerate() {
            assert!(one.bytes <= sizes[one.buffer]);
            for other in values[..index].iter().filter(|other| other.buffer == one.buffer) {
                assert!(one.life.end() < other.life.start() || other.life.end() < one.life.start());
            }
        }
    }

    /// Protects: what follows on one another takes one buffer, and what is small fits into what is large.
    #[test]
    fn dead_buffers_are_reused() {
        let mut values = vec![Value::new(512, 0..=1), Value::new(2048, 2..=3), Value::new(256, 4..=9)];
        assert_eq!(share(&mut values), [2048]);
    }
}
