//! The buffers of a plan: values that are never alive together share their bytes.

use std::ops::{Range, RangeInclusive};

/// A value that needs memory while the steps of `life` run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Bytes, a multiple of 256: what every device can begin a binding at.
    pub bytes: u64,
    /// From the step that writes it to the last that reads it.
    pub life: RangeInclusive<usize>,
    /// Its buffer of the pool.
    pub buffer: usize,
    /// Where it begins there.
    pub offset: u64,
}

impl Value {
    /// A value that has no place yet.
    pub(super) fn new(bytes: u64, life: RangeInclusive<usize>) -> Self {
        Value { bytes: bytes.next_multiple_of(256), life, buffer: usize::MAX, offset: 0 }
    }

    /// Its bytes in its buffer.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes
    }

    /// Whether there is a step in which both are alive.
    fn meets(&self, other: &Value) -> bool {
        self.life.start() <= other.life.end() && other.life.start() <= self.life.end()
    }
}

/// Gives every value its place and returns the bytes of all buffers.
///
/// All lives are known, so the largest values choose first, the earlier of equals before the later: each takes the
/// smallest buffer that has room during its whole life, or opens one of its own size. A buffer is hence never larger
/// than its first value, and small values fill the gaps that large ones leave. `apart` holds for every value those that may
/// not be in the same buffer: wgpu refuses a dispatch that writes one range of a buffer and reads another.
pub(super) fn share(values: &mut [Value], apart: &[Vec<usize>]) -> Vec<u64> {
    let mut by_size: Vec<_> = (0..values.len()).collect();
    by_size.sort_by_key(|&index| (std::cmp::Reverse(values[index].bytes), *values[index].life.start()));
    let mut sizes: Vec<u64> = Vec::new();
    let mut tenants: Vec<Vec<usize>> = Vec::new();
    for index in by_size {
        let refused: Vec<_> = apart[index].iter().map(|&other| values[other].buffer).collect();
        let room = |buffer: usize| {
            let met = tenants[buffer].iter().map(|&tenant| &values[tenant]).filter(|other| other.meets(&values[index]));
            Some((buffer, gap(met.map(Value::range).collect(), sizes[buffer], values[index].bytes)?))
        };
        // Buffers stand from the largest to the smallest.
        let found = (0..sizes.len()).rev().filter(|buffer| !refused.contains(buffer)).find_map(room);
        let (buffer, offset) = found.unwrap_or_else(|| {
            sizes.push(values[index].bytes);
            tenants.push(Vec::new());
            (sizes.len() - 1, 0)
        });
        tenants[buffer].push(index);
        (values[index].buffer, values[index].offset) = (buffer, offset);
    }
    sizes
}

/// The first place for `bytes` beside what is `taken` of a buffer of `size` bytes.
fn gap(mut taken: Vec<Range<u64>>, size: u64, bytes: u64) -> Option<u64> {
    taken.sort_by_key(|range| range.start);
    let mut start = 0;
    for range in taken {
        if start + bytes <= range.start {
            break;
        }
        start = start.max(range.end);
    }
    (start + bytes <= size).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: no two values have a byte in common at the same step, none reaches past its buffer, and none is in the
    /// buffer of one that it must be apart from.
    #[test]
    fn values_alive_together_never_share() {
        let mut values: Vec<_> = (0..300_usize)
            .map(|index| {
                let start = index * 7919 % 200;
                Value::new((index * 31 % 97 * 100) as u64 + 1, start..=start + index * 13 % 40)
            })
            .collect();
        let mut apart = vec![Vec::new(); values.len()];
        for index in 0..values.len() {
            let other = index * 17 % 300;
            if other != index {
                apart[index].push(other);
                apart[other].push(index);
            }
        }
        let sizes = share(&mut values, &apart);
        assert!(sizes.len() < 100, "{} buffers for 300 values", sizes.len());
        for (index, one) in values.iter().enumerate() {
            assert!(one.range().end <= sizes[one.buffer]);
            assert!(apart[index].iter().all(|&other| values[other].buffer != one.buffer));
            for other in values[..index].iter().filter(|other| other.buffer == one.buffer && other.meets(one)) {
                assert!(one.range().end <= other.offset || other.range().end <= one.offset);
            }
        }
    }

    /// Protects: what follows on one another takes one buffer, what is small fits beside one another into what is large,
    /// and what must be apart is.
    #[test]
    fn dead_buffers_are_reused() {
        let values = [Value::new(512, 0..=1), Value::new(2048, 2..=3), Value::new(256, 4..=9), Value::new(512, 4..=9)];
        assert_eq!(share(&mut values.clone(), &vec![vec![]; 4]), [2048]);
        assert_eq!(share(&mut values.clone(), &[vec![], vec![], vec![3], vec![2]]), [2048, 256]);
    }
}
