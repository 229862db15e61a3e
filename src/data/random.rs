//! Independent random streams, each named after its purpose.
//!
//! A stream's key *is* its name (seed, purpose and two counters), so that any batch can be reproduced without the ones
//! before it, on any thread, in any order (method.md 7.5).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of a stream of random numbers.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The order of the images in an epoch. Counters: epoch, 0.
    Shuffle = 1,
    /// Scale, flip and crop of one image. Counters: epoch, image.
    Augment = 2,
    /// One picture of the generated data set. Counters: split, image.
    Shapes = 3,
}

/// A stream of random numbers, see [`stream`].
pub struct Stream(pub(super) ChaCha8Rng);

/// The stream of random numbers for one purpose and two counters.
pub fn stream(seed: u64, purpose: Purpose, counters: [u64; 2]) -> Stream {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, counters[0], counters[1]]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Stream(ChaCha8Rng::from_seed(key))
}
