//! Twin of `shaders/random.wgsl`: the same bits. Host code may draw from it too.

use super::array::Array;

/// Philox 4x32-10: a block of four random words from a counter and a key.
///
/// ```
/// use tagseg::engine::reference::random::philox;
/// assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let high = |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32;
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let high0 = high(0xD251_1F53, c[0]);
        let high1 = high(0xCD9E_8D57, c[2]);
        let low0 = c[0].wrapping_mul(0xD251_1F53);
        let low1 = c[2].wrapping_mul(0xCD9E_8D57);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
    }
    c
}

/// Element `index` of the uniform numbers in \[0, 1) of (seed, step, stream); 24 bits, exact in f32 and f64.
pub fn uniform(seed: u64, step: u32, stream: u32, index: usize) -> f64 {
    let words = philox([(index / 4) as u32, stream, step, 0], [seed as u32, (seed >> 32) as u32]);
    f64::from(words[index % 4] >> 8) / f64::from(1 << 24)
}

/// Uniform numbers in \[−1, 1), those of step 0 and stream 0 of a seed: for operands without a pattern.
///
/// ```
/// use tagseg::engine::reference::random::{noise, uniform};
/// let values = noise(7, 6);
/// assert_eq!((values.len(), f64::from(values[5])), (6, 2.0 * uniform(7, 0, 0, 5) - 1.0));
/// ```
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let blocks =
        (0..count.div_ceil(4) as u32).flat_map(|block| philox([block, 0, 0, 0], [seed as u32, (seed >> 32) as u32]));
    blocks.map(|word| (word >> 8) as f32 / (1 << 23) as f32 - 1.0).take(count).collect()
}

/// A tensor of uniform numbers; key = (low word of the seed, high word, step).
pub fn random(key: &Array, stream: u32, shape: &[usize]) -> Array {
    let word = |index: usize| key.data[index] as i32 as u32;
    let seed = u64::from(word(0)) | u64::from(word(1)) << 32;
    Array::from_fn(shape, |index| uniform(seed, word(2), stream, index))
}
