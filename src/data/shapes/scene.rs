//! The scenes of the generated data set, from back to front: clouds, strokes, blobs, shapes.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::paint::{Canvas, Clouds, Colour, Region, Vector, between, direction, hsv, mix};
use crate::data::picture::{Mask, Rgb8};

/// Every shape covers at least this share of the picture, else all shapes are redrawn: a tag must have visible pixels.
const SMALLEST_SHARE: f64 = 0.025;

/// Strength of the film grain.
const GRAIN: f64 = 0.035;

/// Draws a picture and its mask.
pub fn draw(size: usize, rng: &mut ChaCha8Rng) -> (Rgb8, Mask) {
    let mut background = draw_background(size, rng);
    for _ in 0..rng.random_range(4..=8u32) {
        draw_stroke(&mut background, rng);
    }
    for _ in 0..rng.random_range(4..=8u32) {
        draw_blob(&mut background, rng);
    }
    loop {
        let count = [1, 1, 2][rng.random_range(0..3u32) as usize];
        let shapes: Vec<Shape> = (0..count).map(|_| Shape::draw(rng)).collect();
        let mut canvas = background.clone();
        for (shape, owner) in shapes.iter().zip(1..) {
            shape.paint(&mut canvas, owner);
        }
        if (1..=count).all(|owner| canvas.share(owner) >= SMALLEST_SHARE) {
            let classes: Vec<u8> = shapes.iter().map(|shape| shape.form as u8).collect();
            return canvas.finish(&classes, GRAIN, rng);
        }
    }
}

/// A gradient between two muted colours, lit by clouds.
fn draw_background(size: usize, rng: &mut ChaCha8Rng) -> Canvas {
    let muted = |rng: &mut _| hsv(between(rng, 0.0, 1.0), between(rng, 0.03, 0.2), between(rng, 0.3, 0.8));
    let (near, far) = (muted(rng), muted(rng));
    let way = direction(rng);
    let (large, small) = (Clouds::draw(3, rng), Clouds::draw(9, rng));
    Canvas::new(size, |point| {
        let along = (point[0] - 0.5) * way[0] + (point[1] - 0.5) * way[1] + 0.5;
        let light = 0.12 * large.at(point) + 0.07 * small.at(point);
        mix(near, far, along.clamp(0.0, 1.0)).map(|channel| channel + light)
    })
}

/// A straight stroke of any colour.
fn draw_stroke(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    let middle = [between(rng, 0.0, 1.0), between(rng, 0.0, 1.0)];
    let way = direction(rng);
    let (half_length, half_width) = (between(rng, 0.08, 0.4), between(rng, 0.005, 0.014));
    let colour = hsv(between(rng, 0.0, 1.0), between(rng, 0.1, 0.7), between(rng, 0.15, 0.95));
    let covers = |point: Vector| {
        let [dx, dy] = [point[0] - middle[0], point[1] - middle[1]];
        let along = (dx * way[0] + dy * way[1]).clamp(-half_length, half_length);
        let [dx, dy] = [dx - along * way[0], dy - along * way[1]];
        dx * dx + dy * dy <= half_width * half_width
    };
    canvas.stamp(&Region { centre: middle, reach: half_length + half_width, covers }, None, |_| (colour, 0.8));
}

/// A small plain ellipse of any colour, often that of a class.
fn draw_blob(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    let centre = [between(rng, 0.0, 1.0), between(rng, 0.0, 1.0)];
    let way = direction(rng);
    let (long, short) = (between(rng, 0.03, 0.07), between(rng, 0.02, 0.045));
    let colour = hsv(between(rng, 0.0, 1.0), between(rng, 0.3, 0.8), between(rng, 0.4, 0.95));
    let covers = |point: Vector| {
        let [u, v] = turn([point[0] - centre[0], point[1] - centre[1]], way);
        (u / long) * (u / long) + (v / short) * (v / short) <= 1.0
    };
    let light = |point: Vector| 0.12 * (centre[0] + centre[1] - point[0] - point[1]) / long;
    let paint = |point| (colour.map(|channel| channel + light(point)), 0.9);
    canvas.stamp(&Region { centre, reach: long.max(short), covers }, None, paint);
}

/// A form; its number is its class.
#[derive(Clone, Copy)]
enum Form {
    Disc = 1,
    Square = 2,
    Triangle = 3,
    Ring = 4,
}

impl Form {
    /// The form fits into a circle of this radius.
    const REACH: f64 = 1.3;

    /// Whether a point in the shape's own coordinates belongs to the form. The forms are of similar area.
    fn covers(self, [u, v]: Vector) -> bool {
        let square = u * u + v * v;
        match self {
            Form::Disc => square <= 1.0,
            Form::Square => u.abs().max(v.abs()) <= 0.9,
            // An equilateral triangle: three half-planes at distance 0.62 from the centre.
            Form::Triangle => (-v).max(0.5 * v + 0.866 * u.abs()) <= 0.62,
            Form::Ring => (0.27..=1.2).contains(&square),
        }
    }

    /// The texture: 0 is the dark colour, 1 the light one.
    fn texture(self, [u, v]: Vector) -> f64 {
        /// Rises from 0 to 1 over a narrow edge where `distance` becomes positive.
        fn edge(distance: f64) -> f64 {
            (distance * 8.0 + 0.5).clamp(0.0, 1.0)
        }
        /// A triangle wave of period 1 between −0.5 and 0.5.
        fn wave(place: f64) -> f64 {
            2.0 * (place - place.floor() - 0.5).abs() - 0.5
        }
        match self {
            Form::Disc => edge(wave(1.9 * u)),
            Form::Square => {
                let (across, down) = (edge(wave(1.1 * u)), edge(wave(1.1 * v)));
                across * down + (1.0 - across) * (1.0 - down)
            }
            Form::Triangle => {
                let [du, dv] = [wave(2.2 * u) + 0.5, wave(2.2 * v) + 0.5];
                edge(0.62 - (du * du + dv * dv).sqrt())
            }
            Form::Ring => edge(wave(2.6 * (u * u + v * v).sqrt() + 0.1)),
        }
    }

    /// The hue that the class tends to.
    fn hue(self) -> f64 {
        match self {
            Form::Disc => 0.01,
            Form::Square => 0.58,
            Form::Triangle => 0.30,
            Form::Ring => 0.82,
        }
    }
}

/// One shape of a class.
struct Shape {
    form: Form,
    centre: Vector,
    radius: f64,
    /// Width by height of the shape before it is turned.
    stretch: f64,
    way: Vector,
    dark: Colour,
    light: Colour,
}

impl Shape {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let form = [Form::Disc, Form::Square, Form::Triangle, Form::Ring][rng.random_range(0..4u32) as usize];
        let hue = form.hue() + between(rng, -0.07, 0.07);
        Self {
            form,
            centre: [between(rng, 0.25, 0.75), between(rng, 0.25, 0.75)],
            radius: between(rng, 0.22, 0.36),
            stretch: between(rng, 0.88, 1.14),
            way: direction(rng),
            dark: hsv(hue, between(rng, 0.65, 0.9), between(rng, 0.4, 0.65)),
            light: hsv(hue + between(rng, -0.05, 0.05), between(rng, 0.4, 0.6), between(rng, 0.85, 1.0)),
        }
    }

    /// A point of the picture in the shape's own coordinates.
    fn own(&self, point: Vector) -> Vector {
        let [u, v] = turn([point[0] - self.centre[0], point[1] - self.centre[1]], self.way);
        [u / (self.radius * self.stretch), v * self.stretch / self.radius]
    }

    /// Paints a soft shadow, then the shape, lit from the upper left.
    fn paint(&self, canvas: &mut Canvas, owner: u8) {
        let reach = Form::REACH * self.radius * self.stretch.max(1.0 / self.stretch);
        for step in [0.06, 0.10, 0.14, 0.18, 0.22] {
            let [dx, dy] = [0.8 * step * self.radius, step * self.radius];
            let centre = [self.centre[0] + dx, self.centre[1] + dy];
            let covers = |point: Vector| self.form.covers(self.own([point[0] - dx, point[1] - dy]));
            canvas.stamp(&Region { centre, reach, covers }, None, |_| ([0.0; 3], 0.10));
        }
        let covers = |point| self.form.covers(self.own(point));
        canvas.stamp(&Region { centre: self.centre, reach, covers }, Some(owner), |point| {
            let [dx, dy] = [point[0] - self.centre[0], point[1] - self.centre[1]];
            let shade = 1.02 - 0.16 * (0.8 * dx + dy) / self.radius;
            let colour = mix(self.dark, self.light, self.form.texture(self.own(point)));
            (colour.map(|channel| channel * shade), 1.0)
        });
    }
}

/// A vector in axes of which the first points along `way`.
fn turn([x, y]: Vector, way: Vector) -> Vector {
    [x * way[0] + y * way[1], y * way[0] - x * way[1]]
}
