//! Random numbers by counting: the same for a seed everywhere.

/// A counter whose hashes are the numbers.
#[derive(Clone)]
pub struct Random(u64);

/// A hash of 64 bits.
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(mix(seed) << 20)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// A number in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// A number in [-1, 1) of a seed, of 24 bits.
pub fn unit(seed: u64, index: usize) -> f64 {
    (mix(seed ^ mix(index as u64)) >> 40) as f64 / f64::from(1 << 23) - 1.0
}
