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

/// The top left part `[height, width]` of map `slot` of a batch of maps of `size`.
pub(super) fn cut<T: Copy>(maps: &[T], slot: usize, size: [usize; 2], [height, width]: [usize; 2]) -> Vec<T> {
    let map = &maps[slot * size[0] * size[1]..][..size[0] * size[1]];
    map.chunks(size[1]).take(height).flat_map(|row| row[..width].iter().copied()).collect()
}
