//! A batch of images as uploaded by the host, as read by the encoder, and as read by PAR (method.md 4.2, 8.5).

use std::ops::Range;

use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::ops::pixels::words_of;
use crate::error::Result;

/// Mean of red, green and blue over ImageNet, on the scale 0 to 255.
pub const MEAN: [f64; 3] = [123.675, 116.28, 103.53];

/// Standard deviation of red, green and blue over ImageNet, on the scale 0 to 255.
pub const STD: [f64; 3] = [58.395, 57.12, 57.375];

/// A batch of images in a graph. Forms that are not read are never computed.
#[derive(Clone, Debug)]
pub struct Images {
    /// Their source: the input that the host writes as bytes, or the normalised images.
    pub input: Tensor,
    /// (level − mean) / std of each channel, \[B, H, W, 3\], for encoders.
    pub normalised: Tensor,
    /// Red, green and blue from 0 to 255, \[B, H, W, 3\]; integers unless the images were resized.
    levels: Tensor,
}

impl Images {
    /// `batch` images of `size` \[height, width\] as bytes: the host writes red, green and blue of each pixel, row by
    /// row, image by image, as [`Values::U8`](crate::Values::U8).
    ///
    /// ```
    /// use tagseg::Session;
    /// use tagseg::engine::graph::Graph;
    /// use tagseg::parts::images::Images;
    ///
    /// let graph = Graph::new();
    /// let images = Images::of_bytes(&graph, 1, [1, 2])?;
    /// let seen = images.normalised.clone();
    /// let mut program = Session::open("reference")?.compile(&graph, &[&seen])?;
    /// program.write(&images.input, &[0_u8, 0, 0, 255, 255, 255])?;
    /// program.run()?;
    /// assert!((program.read(&seen)?[0] - (0.0 - 123.675) / 58.395).abs() < 1e-6);
    /// # Ok::<(), tagseg::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a size is 0.
    pub fn of_bytes(graph: &Graph, batch: usize, size: [usize; 2]) -> Result<Self> {
        let shape = [batch, size[0], size[1], 3];
        let input = graph.input("images", [words_of(shape.iter().product())], DType::I32);
        let table = |of: &dyn Fn(f64, usize) -> f64| {
            let entries: Vec<_> = (0..3 * 256).map(|index| of((index % 256) as f64, index / 256)).collect();
            graph.constant(&entries, [3, 256])
        };
        let normalised = table(&|level, channel| (level - MEAN[channel]) / STD[channel]);
        let levels = table(&|level, _| level);
        Ok(Images { normalised: input.pixels(shape, &normalised)?, levels: input.pixels(shape, &levels)?, input })
    }

    /// Images that are already normalised: \[B, H, W, 3\].
    ///
    /// # Errors
    /// If the tensor does not have three channels.
    pub fn of_normalised(image: &Tensor) -> Result<Self> {
        let channels = |values: [f64; 3]| image.graph().constant(&values, [3]);
        let levels = image.detach()?.mul(&channels(STD))?.add(&channels(MEAN))?;
        Ok(Images { input: image.clone(), normalised: image.clone(), levels })
    }

    /// Some of the images.
    ///
    /// # Errors
    /// If there are no such images.
    pub fn some(&self, images: Range<usize>) -> Result<Self> {
        Ok(Images {
            input: self.input.clone(),
            normalised: self.normalised.slice(0, images.clone())?,
            levels: self.levels.slice(0, images)?,
        })
    }

    /// The same images at another size, bilinear without aligned corners.
    ///
    /// # Errors
    /// If a side is 0.
    pub fn resized(&self, size: [usize; 2]) -> Result<Self> {
        Ok(Images {
            input: self.input.clone(),
            normalised: self.normalised.resize_channels_last(size, false)?,
            levels: self.levels.resize_channels_last(size, false)?,
        })
    }

    /// The 8-bit pictures that PAR reads, divided by 255: \[B, H, W, 3\]. Levels between two integers are truncated,
    /// not rounded (method.md 4.2).
    ///
    /// # Errors
    /// Never for images of three channels.
    pub fn pictures(&self) -> Result<Tensor> {
        self.levels.trunc()?.scale(1.0 / 255.0)
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.normalised.shape()[1], self.normalised.shape()[2]]
    }

    /// Number of images.
    pub fn batch(&self) -> usize {
        self.normalised.shape()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::session::Session;

    /// Protects: bytes equal the inverse of their normalisation up to rounding, including black padding, and
    /// the picture of PAR consists of the bytes themselves (method.md 4.2, 16).
    #[test]
    fn bytes_are_normalised_and_kept() {
        let graph = Graph::new();
        let images = Images::of_bytes(&graph, 2, [16, 16]).unwrap();
        let (seen, pictures) = (images.normalised.clone(), images.pictures().unwrap());
        let mut program = Session::open("reference").unwrap().compile(&graph, &[&seen, &pictures]).unwrap();
        let bytes: Vec<u8> = (0..2 * 3 * 256).map(|index| (index / 3 % 256) as u8).collect();
        program.write(&images.input, &bytes).unwrap();
        program.run().unwrap();
        let (seen, pictures) = (program.read(&seen).unwrap(), program.read(&pictures).unwrap());
        for (index, &byte) in bytes.iter().enumerate() {
            let (mean, std) = (MEAN[index % 3], STD[index % 3]);
            assert!((seen[index] - (f64::from(byte) - mean) / std).abs() < 1e-12, "{index}: {}", seen[index]);
            assert!((pictures[index] * 255.0 - f64::from(byte)).abs() < 1e-9, "{index}: {}", pictures[index]);
        }
        let black_and_white = [seen[..3].to_vec(), seen[3 * 255..3 * 256].to_vec()].concat();
        let documented = [-2.117_904, -2.035_714_3, -1.804_444_4, 2.248_908_3, 2.428_571_5, 2.64];
        let agree = black_and_white.iter().zip(documented).all(|(seen, value)| (seen - value).abs() < 1e-6);
        assert!(agree, "{black_and_white:?}");
    }
}
