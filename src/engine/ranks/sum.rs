//! Sums over ranks. Each rank adds a part of the values, in the order of ranks, and all gather the sums: so every rank has
//! the same bits, which no library's choice of an algorithm changes, and sends about twice its values whatever their number.

use super::interface::Ranks;
use crate::error::Result;

/// The sums over all ranks of f32 `values`, as little-endian bytes. A device that `flushes` replaces numbers below the
/// normal ones by zero before and after every addition; so does this sum then.
pub(crate) fn sum_f32(ranks: &dyn Ranks, values: &[u8], flushes: bool) -> Result<Vec<u8>> {
    let flushed = |x: f32| if flushes && x.is_subnormal() { 0.0_f32.copysign(x) } else { x };
    let add = |sum: [u8; 4], own: [u8; 4]| {
        let [sum, own] = [sum, own].map(|bytes| flushed(f32::from_le_bytes(bytes)));
        flushed(sum + own).to_le_bytes()
    };
    sum(ranks, values, add)
}

/// The same of f64.
pub(crate) fn sum_f64(ranks: &dyn Ranks, values: &[u8]) -> Result<Vec<u8>> {
    sum(ranks, values, |sum: [u8; 8], own: [u8; 8]| (f64::from_le_bytes(sum) + f64::from_le_bytes(own)).to_le_bytes())
}

fn sum<const N: usize>(ranks: &dyn Ranks, values: &[u8], add: impl Fn([u8; N], [u8; N]) -> [u8; N]) -> Result<Vec<u8>> {
    let size = ranks.size();
    let block = (values.len() / N).div_ceil(size) * N;
    let mut blocks = values.to_vec();
    blocks.resize(block * size, 0);
    let mine = ranks.all_to_all(&blocks)?;
    let (sums, more) = mine.split_at(block);
    let mut sums = sums.to_vec();
    for own in more.chunks_exact(block.max(1)) {
        for (sum, own) in sums.as_chunks_mut::<N>().0.iter_mut().zip(own.as_chunks::<N>().0) {
            *sum = add(*sum, *own);
        }
    }
    let mut all = ranks.all_gather(&sums)?;
    all.truncate(values.len());
    Ok(all)
}
