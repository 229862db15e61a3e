//! The labels of the segmentation branch among the tags of an image.

use crate::data::{Mask, Rgb8};
use crate::run::eval::refine::Refiner;

/// The segmentation of an image that shows some of `classes`: the most probable of them at every pixel, the first of
/// ties. `probabilities` \[C, H, W\] are theirs; the CRF starts from their shares of the sum.
pub(super) fn segmented(image: &Rgb8, mut probabilities: Vec<f32>, classes: &[u8], crf: Option<&Refiner<'_>>) -> Mask {
    let pixels = image.height * image.width;
    if let (Some(crf), [_, _, ..]) = (crf, classes) {
        let mut sums = vec![0.0; pixels];
        for map in probabilities.chunks(pixels) {
            sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += value);
        }
        for map in probabilities.chunks_mut(pixels) {
            map.iter_mut().zip(&sums).for_each(|(value, sum)| *value /= sum.max(f32::MIN_POSITIVE));
        }
        return crf.segmentation_among(image, probabilities, classes);
    }
    let (mut best, mut labels) = (vec![-1.0; pixels], vec![0; pixels]);
    for (map, &class) in probabilities.chunks(pixels).zip(classes) {
        for ((best, label), &value) in best.iter_mut().zip(&mut labels).zip(map) {
            if value > *best {
                (*best, *label) = (value, class);
            }
        }
    }
    Mask::new(image.height, image.width, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::parts::crf::DenseCrf;

    /// Protects: the largest of the given classes wins, the first of ties. The CRF starts from probabilities: in an image
    /// of one colour, pixels that are sure decide over as many that hardly prefer another class.
    #[test]
    fn the_most_probable_of_the_tags_wins() {
        let (height, width) = (12, 16);
        let image = Rgb8::from_fn(height, width, |_, _| [90, 120, 60]);
        let maps = |left: f32, right: f32| -> Vec<f32> {
            (0..height * width).map(|pixel| if pixel % width < width / 2 { left } else { right }).collect()
        };
        let unsure = [maps(0.26, 0.01), maps(0.24, 0.49)].concat();
        let label = segmented(&image, unsure.clone(), &[0, 4], None);
        let halves: Vec<u8> = maps(0.0, 4.0).into_iter().map(|class| class as u8).collect();
        assert_eq!(label.data, halves);
        let config = Config::preset("voc").unwrap();
        let (crf, dense) = (Refiner::new(&config), DenseCrf::new(&config));
        assert!(segmented(&image, unsure, &[0, 4], Some(&crf)).data.iter().all(|&class| class == 4));
        assert_eq!(dense.refine(&image, &label, &[0, 4]).data, halves, "labels alone do not tell who is sure");
        for crf in [None, Some(&crf)] {
            let of = |values: &[f32], classes: &[u8]| {
                let maps: Vec<_> = values.iter().flat_map(|&value| maps(value, value)).collect();
                segmented(&image, maps, classes, crf).data[0]
            };
            assert_eq!([of(&[0.3, 0.3, 0.2], &[0, 2, 5]), of(&[0.1, 0.3, 0.3], &[0, 2, 5])], [0, 2], "ties");
            assert_eq!([of(&[0.0, 0.0], &[0, 3]), of(&[0.2], &[0])], [0, 0], "nothing is likely, or nothing is tagged");
        }
    }
}
