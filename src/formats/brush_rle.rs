//! The run-length code of Label Studio's brushes: the red, green, blue and alpha bytes of a picture, as bits.
//!
//! The head has the number of bytes (32 bits), the bits of a value less 1 (5), and the bits of four sizes of runs less 1
//! (4 each). A run is a bit that says whether its values are equal, the number of its size (2 bits), its length less 1,
//! and its value.

/// Bits of the four sizes of runs, as Label Studio's own encoder chooses them.
const SIZES: [u32; 4] = [3, 4, 8, 16];

/// The code of the pixels of `map` that are `value`: opaque white, all others transparent black.
pub fn encode(map: &[u8], value: u8) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(4 * map.len() as u64, 32);
    bits.push(7, 5);
    SIZES.iter().for_each(|size| bits.push(u64::from(size - 1), 4));
    for run in map.chunk_by(|a, b| (*a == value) == (*b == value)) {
        let byte = if run[0] == value { 255 } else { 0 };
        let mut left = 4 * run.len() as u64;
        while left > 0 {
            let number = SIZES.iter().position(|size| left <= 1 << size).unwrap_or(SIZES.len() - 1);
            let length = left.min(1 << SIZES[number]);
            bits.push(1, 1);
            bits.push(number as u64, 2);
            bits.push(length - 1, SIZES[number]);
            bits.push(byte, 8);
            left -= length;
        }
    }
    bits.bytes
}

/// Bits, the highest of a byte first; the last byte is filled with zeros.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, number: u64, bits: u32) {
        for place in (0..bits).rev() {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((number >> place & 1) as u8) << (7 - self.count % 8);
            }
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoder of Label Studio's converter, bit by bit.
    fn decode(code: &[u8]) -> Vec<u8> {
        let mut place = 0;
        let mut read = |bits: usize| {
            let bit = |at: usize| usize::from(code[at / 8] >> (7 - at % 8) & 1);
            place += bits;
            (place - bits..place).fold(0, |number, at| 2 * number + bit(at))
        };
        let (count, word) = (read(32), read(5) + 1);
        let sizes: Vec<_> = (0..4).map(|_| read(4) + 1).collect();
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let equal = read(1) == 1;
            let number = read(2);
            let length = read(sizes[number]) + 1;
            let mut value = if equal { read(word) } else { 0 };
            for _ in 0..length {
                value = if equal { value } else { read(word) };
                bytes.push(value as u8);
            }
        }
        bytes
    }

    /// Protects: runs of every size, those above the largest too.
    #[test]
    fn masks_survive_a_round_trip() {
        let mut map = vec![3; 70_000];
        for (start, length) in [(0, 1), (5, 2), (100, 4), (200, 30), (1000, 20_000), (69_999, 1)] {
            map[start..start + length].fill(2);
        }
        for value in [2, 3, 9] {
            let expected: Vec<u8> = map.iter().flat_map(|v| [if *v == value { 255 } else { 0 }; 4]).collect();
            assert!(decode(&encode(&map, value)) == expected, "{value}");
        }
    }
}
