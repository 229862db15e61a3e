//! A canvas with painting operations. Coordinates run from 0 to 1 over the picture, x to the right and y down.
//!
//! Only sums, products, quotients and square roots of f64 are used: they are rounded identically on every platform.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::picture::{Mask, Rgb8};

/// Red, green and blue, 0 to 1.
pub type Colour = [f64; 3];

/// A point or a direction: x, y.
pub type Vector = [f64; 2];

/// Samples of a pixel along each axis, for its coverage.
const SUBDIVISIONS: usize = 4;

/// A square picture being painted, and the owner of every pixel.
#[derive(Clone)]
pub struct Canvas {
    size: usize,
    pixels: Vec<Colour>,
    /// Owner of each pixel: 0 for the background, else the number given to [`Canvas::stamp`].
    pub owners: Vec<u8>,
}

/// A region: a circle that encloses it and a test of its points.
pub struct Region<Covers: Fn(Vector) -> bool> {
    /// Centre of the enclosing circle.
    pub centre: Vector,
    /// Radius of the enclosing circle.
    pub reach: f64,
    /// Whether a point belongs to the region.
    pub covers: Covers,
}

impl Canvas {
    /// A canvas whose every pixel has the colour of its centre.
    pub fn new(size: usize, colour: impl Fn(Vector) -> Colour) -> Self {
        let at = |index: usize| (index as f64 + 0.5) / size as f64;
        let pixels = (0..size * size).map(|pixel| colour([at(pixel % size), at(pixel / size)])).collect();
        Self { size, pixels, owners: vec![0; size * size] }
    }

    /// Paints a region with the colour and opacity that `paint` gives at a pixel's centre. If at least half of a pixel
    /// is covered, it is assigned to `owner`, if there is one.
    pub fn stamp(
        &mut self,
        region: &Region<impl Fn(Vector) -> bool>,
        owner: Option<u8>,
        paint: impl Fn(Vector) -> (Colour, f64),
    ) {
        let scale = self.size as f64;
        let first = |centre: f64| ((centre - region.reach) * scale).max(0.0) as usize;
        let last = |centre: f64| (((centre + region.reach) * scale).max(0.0) as usize + 1).min(self.size);
        let [columns, rows] = region.centre.map(|centre| first(centre)..last(centre));
        for (y, x) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
            let covered = self.coverage(region, y, x);
            if covered == 0.0 {
                continue;
            }
            let (colour, opacity) = paint([(x as f64 + 0.5) / scale, (y as f64 + 0.5) / scale]);
            let pixel = &mut self.pixels[y * self.size + x];
            *pixel = mix(*pixel, colour, covered * opacity);
            if let Some(owner) = owner
                && covered >= 0.5
            {
                self.owners[y * self.size + x] = owner;
            }
        }
    }

    /// The share of a pixel that lies within the region.
    fn coverage(&self, region: &Region<impl Fn(Vector) -> bool>, y: usize, x: usize) -> f64 {
        let fine = (self.size * SUBDIVISIONS) as f64;
        let at = |pixel: usize, part: usize| ((pixel * SUBDIVISIONS + part) as f64 + 0.5) / fine;
        let parts = (0..SUBDIVISIONS).flat_map(|row| (0..SUBDIVISIONS).map(move |column| (row, column)));
        let inside = parts.filter(|&(row, column)| (region.covers)([at(x, column), at(y, row)])).count();
        inside as f64 / (SUBDIVISIONS * SUBDIVISIONS) as f64
    }

    /// The share of the picture that shows `owner`.
    pub fn share(&self, owner: u8) -> f64 {
        self.owners.iter().filter(|&&held| held == owner).count() as f64 / self.owners.len() as f64
    }

    /// The picture with film grain of the given strength, and the mask in which owner `i` has class `classes[i - 1]`.
    pub fn finish(&self, classes: &[u8], grain: f64, rng: &mut ChaCha8Rng) -> (Rgb8, Mask) {
        let mut data = Vec::with_capacity(self.pixels.len() * 3);
        for pixel in &self.pixels {
            let light = grain * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
            data.extend(pixel.map(|channel| ((channel + light).clamp(0.0, 1.0) * 255.0 + 0.5) as u8));
        }
        let class = |&owner: &u8| if owner == 0 { 0 } else { classes[usize::from(owner) - 1] };
        let mask = self.owners.iter().map(class).collect();
        (Rgb8::new(self.size, self.size, data), Mask::new(self.size, self.size, mask))
    }
}

/// Interpolates linearly between two colours.
pub fn mix(from: Colour, to: Colour, share: f64) -> Colour {
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// The colour of a hue (0 red, 1/3 green, 2/3 blue, any integer added), saturation and brightness.
pub fn hsv(hue: f64, saturation: f64, brightness: f64) -> Colour {
    let turn = (hue - hue.floor()) * 6.0;
    [0.0, 4.0, 2.0].map(|shift| {
        let place = (turn + shift) % 6.0;
        let pure = ((place - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        brightness * (1.0 - saturation * (1.0 - pure))
    })
}

/// A number drawn uniformly from a range.
pub fn between(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// A uniformly distributed direction of length 1.
pub fn direction(rng: &mut ChaCha8Rng) -> Vector {
    loop {
        let [x, y] = [between(rng, -1.0, 1.0), between(rng, -1.0, 1.0)];
        let square = x * x + y * y;
        if (0.01..=1.0).contains(&square) {
            let length = square.sqrt();
            return [x / length, y / length];
        }
    }
}

/// Smooth random light: numbers from −1 to 1 on a grid, interpolated between its points.
pub struct Clouds {
    cells: usize,
    values: Vec<f64>,
}

impl Clouds {
    /// Clouds of `cells` grid cells per side.
    pub fn draw(cells: usize, rng: &mut ChaCha8Rng) -> Self {
        let values = (0..(cells + 1) * (cells + 1)).map(|_| between(rng, -1.0, 1.0)).collect();
        Self { cells, values }
    }

    /// The light at a point of the picture.
    pub fn at(&self, [x, y]: Vector) -> f64 {
        let split = |place: f64| {
            let place = place * self.cells as f64;
            let cell = (place as usize).min(self.cells - 1);
            let part = place - cell as f64;
            (cell, part * part * (3.0 - 2.0 * part))
        };
        let ((column, right), (row, down)) = (split(x), split(y));
        let value = |row: usize, column: usize| self.values[row * (self.cells + 1) + column];
        let across = |row| value(row, column) + (value(row, column + 1) - value(row, column)) * right;
        across(row) + (across(row + 1) - across(row)) * down
    }
}
