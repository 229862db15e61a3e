//! The buffers of a plan: values that are never alive together share their bytes.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

/// A value that needs memory while the steps of `life` run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Bytes, a multiple of 256, at which every device can start a binding.
    pub bytes: u64,
    /// From the step that writes it to the last one that reads it, or to where it becomes a part of another value.
    pub life: RangeInclusive<usize>,
    /// Its buffer of the pool.
    pub buffer: usize,
    /// Its offset there.
    pub offset: u64,
}

impl Value {
    /// A value that has not been placed yet.
    pub(super) fn new(bytes: u64, life: RangeInclusive<usize>) -> Self {
        Value { bytes: bytes.next_multiple_of(256), life, buffer: usize::MAX, offset: 0 }
    }

    /// Its byte range in its buffer.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.bytes
    }

    /// Whether there is a step in which both are alive.
    fn meets(&self, other: &Value) -> bool {
        self.life.start() <= other.life.end() && other.life.start() <= self.life.end()
    }
}

/// A value with the parts that are written into it, each before the whole becomes alive.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    /// The value.
    pub(super) value: usize,
    /// Its parts, and the offset of each.
    pub(super) parts: Vec<(usize, u64)>,
}

/// Places every value and returns the bytes of all buffers.
///
/// All lifetimes are known, so the largest values are placed first, the earlier of equals before the later: each takes
/// the smallest buffer that has room during its whole lifetime, or a new one of its own size. A buffer is hence never
/// larger than its first value, and small values fill the gaps. `apart` lists for every value those that must not be in
/// the same buffer: wgpu refuses a dispatch that writes one range of a buffer and reads another. The parts of `wholes`
/// are placed together.
pub(super) fn share(values: &mut [Value], apart: &[Vec<usize>], wholes: &[Whole]) -> Vec<u64> {
    let parts: HashSet<_> = wholes.iter().flat_map(|whole| &whole.parts).map(|(part, _)| *part).collect();
    let mut together: Vec<_> =
        (0..values.len()).filter(|index| !parts.contains(index)).map(|index| vec![(index, 0)]).collect();
    for whole in wholes {
        let own = together.iter_mut().find(|group| group[0].0 == whole.value);
        own.into_iter().for_each(|group| group.extend(&whole.parts));
    }
    together.sort_by_key(|group| {
        let born = group.iter().map(|(index, _)| *values[*index].life.start()).min();
        (std::cmp::Reverse(values[group[0].0].bytes), born)
    });
    let mut sizes: Vec<u64> = Vec::new();
    let mut tenants: Vec<Vec<usize>> = Vec::new();
    for group in together {
        let bytes = values[group[0].0].bytes;
        let others = group.iter().flat_map(|(index, _)| &apart[*index]);
        let refused: HashSet<_> = others.map(|&other| values[other].buffer).collect();
        let room = |buffer: usize| {
            let taken = group.iter().flat_map(|&(index, within)| {
                let own = &values[index];
                let met = tenants[buffer].iter().map(|&tenant| &values[tenant]).filter(|other| other.meets(own));
                let end = within + own.bytes;
                met.map(move |other| (other.offset as i64 - end as i64, other.range().end as i64 - within as i64))
            });
            Some((buffer, gap(taken.collect(), sizes[buffer], bytes)?))
        };
        // Buffers are sorted from the largest to the smallest.
        let found = (0..sizes.len()).rev().filter(|buffer| !refused.contains(buffer)).find_map(room);
        let (buffer, offset) = found.unwrap_or_else(|| {
            sizes.push(bytes);
            tenants.push(Vec::new());
            (sizes.len() - 1, 0)
        });
        for (index, within) in group {
            tenants[buffer].push(index);
            (values[index].buffer, values[index].offset) = (buffer, offset + within);
        }
    }
    sizes
}

/// The first free offset for `bytes` in a buffer of `size` bytes, of which the ranges `taken` are in use.
fn gap(mut taken: Vec<(i64, i64)>, size: u64, bytes: u64) -> Option<u64> {
    taken.sort_unstable();
    let mut start = 0;
    for (low, high) in taken {
        if start <= low {
            break;
        }
        start = start.max(high);
    }
    let start = start as u64;
    (start + bytes <= size).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: no two values have a byte in common at the same step, none exceeds its buffer, none is in the
    /// buffer of one that it must be apart from, and parts are within their wholes.
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
        let wholes: Vec<_> = (0..20)
            .map(|index| {
                let (mut end, mut bytes) = (0, 0);
                let parts = (3 * index..3 * index + 3).map(|part| {
                    let start = bytes;
                    (end, bytes) = (end.max(*values[part].life.end()), bytes + values[part].bytes);
                    (part, start)
                });
                let parts = parts.collect();
                values.push(Value::new(bytes, end + 1..=end + 1 + index));
                apart.push(Vec::new());
                Whole { value: values.len() - 1, parts }
            })
            .collect();
        let sizes = share(&mut values, &apart, &wholes);
        assert!(sizes.len() < 100, "{} buffers for 300 values", sizes.len());
        for Whole { value, parts } in &wholes {
            let whole = &values[*value];
            let lies = |&(part, start): &(usize, u64)| {
                let part = &values[part];
                (part.buffer, part.offset) == (whole.buffer, whole.offset + start)
            };
            assert!(parts.iter().all(lies));
        }
        for (index, one) in values.iter().enumerate() {
            assert!(one.range().end <= sizes[one.buffer]);
            assert!(apart[index].iter().all(|&other| values[other].buffer != one.buffer));
            for other in values[..index].iter().filter(|other| other.buffer == one.buffer && other.meets(one)) {
                assert!(one.range().end <= other.offset || other.range().end <= one.offset);
            }
        }
    }

    /// Protects: consecutive values share a buffer, small values share the buffer of a large one,
    /// and values that must be apart are.
    #[test]
    fn dead_buffers_are_reused() {
        let values = [Value::new(512, 0..=1), Value::new(2048, 2..=3), Value::new(256, 4..=9), Value::new(512, 4..=9)];
        assert_eq!(share(&mut values.clone(), &vec![vec![]; 4], &[]), [2048]);
        assert_eq!(share(&mut values.clone(), &[vec![], vec![], vec![3], vec![2]], &[]), [2048, 256]);
    }
}
