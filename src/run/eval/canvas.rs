//! Pads images of any size to the size that a view was prepared for, and crops its maps back.

use crate::data::Rgb8;

/// The image in the top left corner of a black canvas of `size`, which must not be smaller.
pub(super) fn padded(image: &Rgb8, [height, width]: [usize; 2]) -> Rgb8 {
    if [image.height, image.width] == [height, width] {
        return image.clone();
    }
    let mut data = vec![0; height * width * 3];
    for (to, from) in data.chunks_mut(width * 3).zip(image.data.chunks(image.width * 3)) {
        to[..from.len()].copy_from_slice(from);
    }
    Rgb8::new(height, width, data)
}

/// Maps of size `from`, one after another, scaled to size `to`: each pixel is the nearest one.
pub(super) fn scaled<T: Copy>(maps: Vec<T>, from: [usize; 2], to: [usize; 2]) -> Vec<T> {
    if from == to {
        return maps;
    }
    let places = |axis: usize| (0..to[axis]).map(move |at| (2 * at + 1) * from[axis] / (2 * to[axis]));
    let columns: Vec<_> = places(1).collect();
    let rows = |map: &[T]| -> Vec<T> {
        places(0).flat_map(|row| columns.iter().map(move |column| map[row * from[1] + column])).collect()
    };
    maps.chunks_exact(from[0] * from[1]).flat_map(rows).collect()
}

/// The top left part `[height, width]` of map `slot` of a batch of maps of `size`.
pub(super) fn cut<T: Copy>(maps: &[T], slot: usize, size: [usize; 2], [height, width]: [usize; 2]) -> Vec<T> {
    let map = &maps[slot * size[0] * size[1]..][..size[0] * size[1]];
    map.chunks(size[1]).take(height).flat_map(|row| row[..width].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: every pixel of scaled maps is the nearest one, of each of several maps.
    #[test]
    fn maps_are_scaled() {
        let maps = vec![1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(scaled(maps.clone(), [2, 2], [2, 2]), maps);
        assert_eq!(scaled(maps.clone(), [2, 2], [2, 4]), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]);
        assert_eq!(scaled(maps, [4, 2], [3, 1]), [2, 6, 8]);
    }
}
