//! The CRF on labels instead of probabilities.

use super::mean_field::DenseCrf;
use crate::data::{Mask, Rgb8};

/// Probability of the class that a label names; the other classes share the rest. The default of pydensecrf's
/// `unary_from_labels`, which pseudo labels are commonly refined with.
const CERTAINTY: f32 = 0.7;

impl DenseCrf {
    /// Refines a label whose pixels may have one of `classes`, at least one. A pixel of the label is evidence for its
    /// class with probability 0.7; where it has none of them, such as 255, all are equally likely, so that the result
    /// decides every pixel.
    ///
    /// # Panics
    /// If image and label differ in size.
    pub fn refine(&self, image: &Rgb8, label: &Mask, classes: &[u8]) -> Mask {
        assert_eq!([image.height, image.width], [label.height, label.width], "an image and its label");
        let count = classes.len() as f32;
        let [own, other] = if classes.len() > 1 { [CERTAINTY, (1.0 - CERTAINTY) / (count - 1.0)] } else { [1.0; 2] };
        let probability = |class: u8, value: u8| match value == class {
            true => own,
            false if classes.contains(&value) => other,
            false => 1.0 / count,
        };
        let maps = classes.iter().flat_map(|&class| label.data.iter().map(move |&value| probability(class, value)));
        self.labels_among(image, &maps.collect::<Vec<_>>(), classes)
    }

    /// The most probable of `classes` at every pixel after inference, from their `probabilities` \[C, H, W\], which sum to
    /// 1 at every pixel.
    ///
    /// # Panics
    /// If there is not one probability for every class and pixel.
    pub fn labels_among(&self, image: &Rgb8, probabilities: &[f32], classes: &[u8]) -> Mask {
        let refined = self.infer(image, probabilities).labels();
        let data = refined.data.iter().map(|&place| classes[usize::from(place)]).collect();
        Mask::new(image.height, image.width, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the label moves to the edge of the image, undecided pixels are decided, and no class appears that the
    /// image is not tagged with.
    #[test]
    fn a_label_moves_to_the_edge_of_its_image() {
        let (height, width, edge) = (24, 32, 16);
        let image = Rgb8::from_fn(height, width, |_, x| if x < edge { [20, 40, 200] } else { [230, 200, 40] });
        let crf = DenseCrf { iterations: 10, gauss: [3.0, 3.0], bilateral: [4.0, 67.0, 3.0] };
        let at = |x: usize, y: usize| match x {
            _ if (x + y).is_multiple_of(7) => 255,
            _ if x < edge - 3 => 0,
            _ => 5,
        };
        let label = Mask::new(height, width, (0..height * width).map(|p| at(p % width, p / width)).collect());
        let refined = crf.refine(&image, &label, &[0, 5]);
        let right = (0..height * width).filter(|p| refined.data[*p] == if p % width < edge { 0 } else { 5 }).count();
        assert!(right > height * width * 98 / 100, "{right} of {}", height * width);
        let alone = crf.refine(&image, &label, &[0]);
        assert!(alone.data.iter().all(|&value| value == 0), "an image without tags is background");
    }
}
