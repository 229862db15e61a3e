//! The run-length code of MS-COCO's masks, and its form as text.
//!
//! A mask is a list of run lengths, alternately outside and inside, column by column; the first is outside and may be 0.
//! As text, each number consists of characters from `0` onwards, five bits each from the lowest up, with a sixth bit if
//! more follow; the highest bit written is the sign. From the fourth number on, only the difference to the one two
//! positions before is stored.

/// The run lengths of the pixels of `map` \[height, width\] that are `value`.
///
/// # Panics
/// If `map` has another length.
pub fn runs_of(map: &[u8], [height, width]: [usize; 2], value: u8) -> Vec<u64> {
    assert_eq!(map.len(), height * width, "one value for each pixel");
    let (mut runs, mut inside) = (vec![0], false);
    for place in (0..width).flat_map(|x| (0..height).map(move |y| y * width + x)) {
        if (map[place] == value) != inside {
            inside = !inside;
            runs.push(0);
        }
        if let Some(run) = runs.last_mut() {
            *run += 1;
        }
    }
    runs
}

/// Run lengths as text.
pub fn compress(runs: &[u64]) -> String {
    let mut text = String::new();
    for (index, &run) in runs.iter().enumerate() {
        let before = if index > 2 { runs[index - 2] } else { 0 };
        let mut number = run as i64 - before as i64;
        loop {
            let bits = (number & 0x1F) as u8;
            number >>= 5;
            // What is left must be the sign, which the reader extends from the highest bit written.
            let more = number != if bits & 0x10 == 0 { 0 } else { -1 };
            text.push(char::from(b'0' + (bits | if more { 0x20 } else { 0 })));
            if !more {
                break;
            }
        }
    }
    text
}

/// Run lengths from text; `None` if it is damaged.
pub fn decompress(text: &[u8]) -> Option<Vec<u64>> {
    let mut counts: Vec<i64> = Vec::new();
    let mut bytes = text.iter();
    while !bytes.as_slice().is_empty() {
        let (mut number, mut shift) = (0_i64, 0);
        loop {
            let bits = i64::from(bytes.next()?.checked_sub(b'0').filter(|bits| *bits < 64)?);
            number |= (bits & 0x1F) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    number |= -1 << shift;
                }
                break;
            }
            // A run is not longer than an image, and no image has 2⁴⁰ pixels.
            if shift > 40 {
                return None;
            }
        }
        if counts.len() > 2 {
            number += counts[counts.len() - 2];
        }
        counts.push(number);
    }
    counts.into_iter().map(|count| u64::try_from(count).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the order of pixels, that the first run is outside, and a text that is known from pycocotools.
    #[test]
    fn masks_have_the_runs_of_the_reference() {
        // Inside: the right column of 3x2 pixels, and the first pixel.
        let map = [1, 1, 0, 1, 0, 1];
        assert_eq!(runs_of(&map, [3, 2], 1), [0, 1, 2, 3]);
        assert_eq!(runs_of(&map, [3, 2], 7), [6]);
        assert_eq!(compress(&[0, 1, 2, 3]), "0122");
    }

    /// Protects: any run lengths survive, also where a difference is negative or a run is 0 or very long.
    #[test]
    fn texts_survive_a_round_trip() {
        let mut number = 1_u64;
        for length in 0..200 {
            let mut next = || {
                number = number.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (number >> 33) % [2, 20, 600, 1 << 31][(number >> 20) as usize % 4]
            };
            let runs: Vec<u64> = (0..length).map(|_| next()).collect();
            assert_eq!(decompress(compress(&runs).as_bytes()), Some(runs));
        }
    }
}
