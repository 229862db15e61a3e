//! The CRF of an evaluation, at the size at which the network sees an image.

use super::canvas::scaled;
use super::graph::input_size;
use crate::config::Config;
use crate::data::resize::resize_bilinear;
use crate::data::{Mask, Rgb8};
use crate::parts::crf::DenseCrf;

/// The dense CRF on whole images. The reach of its kernels is given in pixels, so an image that the network sees smaller
/// (`data.long_side`) is refined at that size, and its labels are enlarged. Other images are refined at their own size
/// (method.md 9.3).
pub(super) struct Refiner<'a> {
    crf: DenseCrf,
    config: &'a Config,
}

impl<'a> Refiner<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        Refiner { crf: DenseCrf::new(config), config }
    }

    /// The most probable class of every pixel after inference, from `probabilities` \[C, H, W\].
    pub(super) fn segmentation(&self, image: &Rgb8, probabilities: Vec<f32>) -> Mask {
        self.at_its_size(image, probabilities, |crf, image, maps| crf.infer(image, &maps).labels())
    }

    /// The same for the probabilities of some of the classes.
    pub(super) fn segmentation_among(&self, image: &Rgb8, probabilities: Vec<f32>, classes: &[u8]) -> Mask {
        self.at_its_size(image, probabilities, |crf, image, maps| crf.labels_among(image, &maps, classes))
    }

    /// A label \[H, W\] whose pixels may have one of `classes`, see [`DenseCrf::refine`].
    pub(super) fn label(&self, image: &Rgb8, label: Vec<u8>, classes: &[u8]) -> Mask {
        self.at_its_size(image, label, |crf, image, label| {
            crf.refine(image, &Mask::new(image.height, image.width, label), classes)
        })
    }

    /// Refines maps \[…, H, W\] of an image by `labels`, which gets both at the size of the CRF.
    fn at_its_size<T: Copy>(
        &self,
        image: &Rgb8,
        maps: Vec<T>,
        labels: impl FnOnce(&DenseCrf, &Rgb8, Vec<T>) -> Mask,
    ) -> Mask {
        let own = [image.height, image.width];
        let size = input_size(self.config, own);
        if size[0] >= own[0] && size[1] >= own[1] {
            return labels(&self.crf, image, maps);
        }
        let refined = labels(&self.crf, &resize_bilinear(image, size[0], size[1]), scaled(maps, own, size));
        Mask::new(own[0], own[1], scaled(refined.data, size, own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: a large photograph is refined as the small one that the network sees, and its labels have its own size;
    /// one that the network sees enlarged is refined as it is.
    #[test]
    fn large_photographs_are_refined_as_the_network_sees_them() {
        let mut config = Config::preset("photos").unwrap();
        config.set("data.long_side=32").unwrap();
        let refiner = Refiner::new(&config);
        let halves = |height: usize, width: usize| {
            Rgb8::from_fn(height, width, |_, x| if x < width / 2 { [20, 40, 200] } else { [230, 200, 40] })
        };
        let probabilities = |height: usize, width: usize| -> Vec<f32> {
            let first = |at: usize| if (at % width) * 8 < width * 3 { 0.8 } else { 0.3 };
            let maps = (0..height * width).map(first);
            maps.clone().chain(maps.map(|first| 1.0 - first)).collect()
        };
        let photograph = halves(240, 320);
        let small = refiner.segmentation(&resize_bilinear(&photograph, 24, 32), probabilities(24, 32));
        let large = refiner.segmentation(&photograph, probabilities(240, 320));
        assert_eq!(large.data, scaled(small.data.clone(), [24, 32], [240, 320]));
        assert!(small.data.contains(&0) && small.data.contains(&1));
        for size in [[24, 32], [12, 16]] {
            refiner.at_its_size(&halves(size[0], size[1]), vec![0_u8; size[0] * size[1]], |_, image, maps| {
                assert_eq!(([image.height, image.width], maps.len()), (size, size[0] * size[1]));
                Mask::new(image.height, image.width, maps)
            });
        }
    }
}
