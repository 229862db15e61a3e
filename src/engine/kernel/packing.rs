//! Several tensors in one buffer, so that one dispatch can bind them all.

use super::launch::WORKGROUP;

/// Alignment of every tensor of a packing in elements: those of a workgroup, four per invocation. So all that a
/// workgroup accesses belongs to one tensor, and each tensor is aligned for a binding on every device.
pub const BLOCK: usize = 4 * WORKGROUP;

/// The offsets of several tensors in one buffer. The gaps between them are unused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The first element of every tensor.
    pub starts: Vec<usize>,
    /// Total number of elements, a multiple of four.
    pub len: usize,
}

impl Packing {
    /// The packing of tensors with these numbers of elements, each of which takes at least four.
    pub fn of(lens: impl IntoIterator<Item = usize>) -> Self {
        let mut packing = Packing { starts: Vec::new(), len: 0 };
        for len in lens {
            let start = packing.len.next_multiple_of(BLOCK);
            packing.starts.push(start);
            packing.len = start + len.max(1).next_multiple_of(4);
        }
        packing
    }

    /// Blocks of [`BLOCK`] elements, the last of which may be shorter.
    pub fn blocks(&self) -> usize {
        self.len.div_ceil(BLOCK)
    }

    /// Calls `of` for every block, with the tensor that it belongs to and the index of its first element there.
    pub(crate) fn of_blocks<T>(&self, of: impl Fn(usize, usize) -> T) -> Vec<T> {
        let mut tensor = 0;
        let block = |first: usize| {
            while self.starts.get(tensor + 1).is_some_and(|&next| next <= first) {
                tensor += 1;
            }
            of(tensor, first - self.starts[tensor])
        };
        (0..self.blocks()).map(|index| index * BLOCK).map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: no two tensors share a block, every block belongs to its tensor, and an empty packing
    /// is valid.
    #[test]
    fn tensors_begin_at_blocks() {
        let packing = Packing::of([3, BLOCK, 1, 2 * BLOCK + 5]);
        assert_eq!(packing, Packing { starts: vec![0, BLOCK, 2 * BLOCK, 3 * BLOCK], len: 5 * BLOCK + 8 });
        let blocks = [(0, 0), (1, 0), (2, 0), (3, 0), (3, BLOCK), (3, 2 * BLOCK)];
        assert_eq!(packing.of_blocks(|tensor, first| (tensor, first)), blocks);
        assert_eq!(Packing::of([]).blocks(), 0);
    }
}
