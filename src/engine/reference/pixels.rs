//! Twin of `shaders/pixels.wgsl`.

use super::array::Array;

/// out\[i\] = table\[i % channels, byte i\]; byte i is the bits 8·(i % 4) to 8·(i % 4) + 7 of word i / 4.
pub fn pixels(words: &Array, table: &Array, shape: &[usize]) -> Array {
    let channels = table.shape[0];
    Array::from_fn(shape, |i| {
        let [channel, place] = [i % channels, i % 4];
        let word = words.data[i / 4] as i32 as u32;
        table.data[channel * 256 + (word >> (8 * place) & 255) as usize]
    })
}
