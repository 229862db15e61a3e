//! Mean-field inference: probabilities and an image in, marginals out.

use rayon::prelude::*;
use wide::f32x8;

use super::lattice::{CHUNK, Lattice, for_each_row};
use crate::config::Config;
use crate::data::{Mask, Rgb8};

/// Classes in one vector.
const LANES: usize = 8;
/// Probabilities are clamped to this from below.
const LEAST: f32 = 1e-5;
/// A class whose probability does not exceed this anywhere is not filtered.
///
/// The resulting error is bounded. Messages m are not negative, so Q_c = p_c e^{m_c} / Σ p e^m ≤ p_c e^{m_c}, and m_c
/// is at most the kernels' weight (7 in the spec, and normalised rows sum to about 1) times the largest Q_c: Q_c stays
/// below
/// 0.011. Its p_c remains in the sum; only the factor e^{m_c} < 1.08 is omitted.
const NEGLIGIBLE: f32 = 0.01;

/// Mean-field inference with a kernel of positions, one of positions and colours, and Potts compatibility (method.md
/// 9.3).
///
/// Repeats Q ← softmax(log p + Σ w · N K N Q), a sum over both kernels, from Q = p. K_ij = exp(−½ |f_i − f_j|²) with
/// the positions and colours f divided by their σ, and N = diag(K 1)^(−½): rows of N K N sum to about 1, and it is
/// symmetric like K. After Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
/// Potentials", 2011.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseCrf {
    /// Iterations.
    pub iterations: usize,
    /// Weight and σ in pixels of the kernel of positions.
    pub gauss: [f64; 2],
    /// Weight, σ in pixels and σ in grey levels of the kernel of positions and colours.
    pub bilateral: [f64; 3],
}

impl DenseCrf {
    /// The settings of a configuration.
    pub fn new(config: &Config) -> Self {
        DenseCrf { iterations: config.crf_iterations, gauss: config.crf_gauss, bilateral: config.crf_bilateral }
    }

    /// Refines `probabilities` \[C, H, W\], which sum to 1 at every pixel of `image`. The result is bit-identical for
    /// any number of threads.
    ///
    /// # Panics
    /// If there is not one probability for every class and pixel.
    pub fn infer(&self, image: &Rgb8, probabilities: &[f32]) -> Marginals {
        let pixels = image.height * image.width;
        assert!(pixels > 0 && probabilities.len().is_multiple_of(pixels), "one probability for every class and pixel");
        let maps: Vec<_> = probabilities.chunks(pixels).collect();
        let is_likely = |class: &usize| *class == 0 || maps[*class].par_iter().any(|&p| p > NEGLIGIBLE);
        let (classes, negligible): (Vec<_>, Vec<_>) = (0..maps.len()).partition(is_likely);
        let blocks = classes.len().div_ceil(LANES);

        // Lanes without a class stay at 0 in every softmax.
        let mut logs = vec![f32x8::splat(-1e4); pixels * blocks];
        for_each_row(&mut logs, blocks, |pixel, row| {
            for (place, &class) in classes.iter().enumerate() {
                row[place / LANES].as_mut_array()[place % LANES] = maps[class][pixel].clamp(LEAST, 1.0).ln();
            }
        });
        let rest = |pixel: usize| negligible.iter().map(|&class| maps[class][pixel].max(LEAST)).sum();
        let rest: Vec<f32> = (0..pixels).into_par_iter().with_min_len(CHUNK).map(rest).collect();

        let (mut near, mut alike) = self.kernels(image);
        let mut q = logs.clone();
        for_each_row(&mut q, blocks, |pixel, row| softmax(row, rest[pixel]));
        for _ in 0..self.iterations {
            near.blur(&q, blocks);
            alike.blur(&q, blocks);
            for_each_row(&mut q, blocks, |pixel, row| {
                for (block, q) in row.iter_mut().enumerate() {
                    *q = logs[pixel * blocks + block] + near.slice(pixel, block) + alike.slice(pixel, block);
                }
                softmax(row, rest[pixel]);
            });
        }
        Marginals { height: image.height, width: image.width, classes, blocks, q }
    }

    /// Both kernels over the pixels of `image`, with their weights and normalised.
    fn kernels(&self, image: &Rgb8) -> (Lattice<2, 3>, Lattice<5, 6>) {
        let pixels = image.height * image.width;
        let place = |pixel: usize, sigma: f64| {
            [pixel % image.width, pixel / image.width].map(|coordinate| (coordinate as f64 / sigma) as f32)
        };
        let [weight, sigma] = self.gauss;
        let near = Lattice::new(pixels, |pixel| place(pixel, sigma)).normalised(weight as f32);
        let [weight, sigma, grey] = self.bilateral;
        let alike = Lattice::new(pixels, |pixel| {
            let [x, y] = place(pixel, sigma);
            let [r, g, b] = [0, 1, 2].map(|channel| (f64::from(image.data[3 * pixel + channel]) / grey) as f32);
            [x, y, r, g, b]
        });
        (near, alike.normalised(weight as f32))
    }
}

/// Softmax of logarithms with `rest` added to the sum.
#[inline]
fn softmax(row: &mut [f32x8], rest: f32) {
    let high = row.iter().fold(f32x8::splat(-1e4), |high, &log| high.fast_max(log));
    let high = high.to_array().into_iter().fold(-1e4, f32::max);
    let mut sum = f32x8::ZERO;
    for value in row.iter_mut() {
        *value = (*value - f32x8::splat(high)).exp();
        sum += *value;
    }
    let share = f32x8::splat(1.0 / (sum.reduce_add() + rest * (-high).exp()));
    row.iter_mut().for_each(|value| *value *= share);
}

/// The result of inference.
pub struct Marginals {
    height: usize,
    width: usize,
    /// The classes that were filtered, ascending, in the order of the lanes.
    classes: Vec<usize>,
    blocks: usize,
    /// `[pixels, blocks]`
    q: Vec<f32x8>,
}

impl Marginals {
    /// Q of `class` at `pixel`; 0 for a class that was not filtered.
    ///
    /// # Panics
    /// If the pixel does not exist.
    pub fn of(&self, class: usize, pixel: usize) -> f32 {
        let place = self.classes.iter().position(|&filtered| filtered == class);
        place.map_or(0.0, |place| self.row(pixel)[place / LANES].as_array()[place % LANES])
    }

    /// The most probable class of every pixel, the lowest of ties.
    pub fn labels(&self) -> Mask {
        let label = |pixel: usize| {
            let values = self.row(pixel).iter().flat_map(|lanes| lanes.to_array());
            let best = self.classes.iter().zip(values).fold((0, -1.0), |best, (&class, q)| match q > best.1 {
                true => (class, q),
                false => best,
            });
            best.0 as u8
        };
        let data = (0..self.height * self.width).into_par_iter().with_min_len(CHUNK).map(label).collect();
        Mask::new(self.height, self.width, data)
    }

    fn row(&self, pixel: usize) -> &[f32x8] {
        &self.q[pixel * self.blocks..][..self.blocks]
    }
}
