//! Charts as pictures, for pages that cannot show SVG.

use super::chart::{Anchor, Chart, HEIGHT, Look, Mark, WIDTH};
use super::colour::mix;
use super::font;
use crate::data::Rgb8;
use crate::data::resize::resize_bilinear;

/// Pixels of the picture per unit of the drawing.
const SCALE: usize = 2;
/// Factor of supersampling, which smooths the edges of shapes.
const FINER: usize = 3;
/// The style sheet's light colours.
const PAPER: [u8; 3] = [251, 250, 247];
const SOFT: [u8; 3] = [109, 108, 112];
const RULE: [u8; 3] = [227, 224, 216];
const SERIES: [[u8; 3]; 5] = [[34, 34, 59], [192, 88, 43], [44, 122, 140], [111, 143, 47], [141, 95, 168]];

impl Chart {
    /// The chart as a picture.
    pub fn picture(&self) -> Rgb8 {
        let [width, height] = [WIDTH, HEIGHT].map(|side| side as usize * SCALE);
        let mut canvas = Rgb8::from_fn(height * FINER, width * FINER, |_, _| PAPER);
        let marks = self.marks();
        marks.iter().for_each(|mark| paint_shape(&mut canvas, mark));
        let mut picture = resize_bilinear(&canvas, height, width);
        marks.iter().for_each(|mark| paint_text(&mut picture, mark));
        picture
    }
}

fn paint_shape(canvas: &mut Rgb8, mark: &Mark) {
    match mark {
        Mark::Rule { look, from, to } => stroke(canvas, *from, *to, width(*look), colour(*look), *look == Look::Event),
        Mark::Curve { look, points } => {
            points.windows(2).for_each(|ends| stroke(canvas, ends[0], ends[1], width(*look), colour(*look), false));
        }
        Mark::Dot { look, at } => {
            disc(canvas, *at, 3.4, colour(*look));
            disc(canvas, *at, 1.8, PAPER);
        }
        Mark::Text { .. } => {}
    }
}

fn paint_text(picture: &mut Rgb8, mark: &Mark) {
    let Mark::Text { look, at, anchor, text, value } = mark else { return };
    let (text, long) = (text.as_str(), font::width(text, SCALE));
    let left = match anchor {
        Anchor::Start => 0,
        Anchor::Middle => long / 2,
        Anchor::End => long,
    };
    let x = (at.0 * SCALE as f64) as usize;
    let y = ((at.1 - 7.0) * SCALE as f64).max(0.0) as usize;
    let x = x.saturating_sub(left);
    font::draw(picture, text, (x, y), SCALE, colour(*look));
    font::draw(picture, value, (x + long + font::width(" ", SCALE), y), SCALE, SOFT);
}

fn colour(look: Look) -> [u8; 3] {
    match look {
        Look::Grid => RULE,
        Look::Event | Look::Tick => SOFT,
        Look::Raw(n) => mix(PAPER, SERIES[n % SERIES.len()], 0.2),
        Look::Spread(n) => mix(PAPER, SERIES[n % SERIES.len()], 0.6),
        Look::Line(n) | Look::Dot(n) | Look::Name(n) => SERIES[n % SERIES.len()],
    }
}

/// Width of a line in units of the drawing.
fn width(look: Look) -> f64 {
    match look {
        Look::Line(_) => 1.9,
        Look::Spread(_) => 1.4,
        _ => 1.0,
    }
}

/// A straight line with round ends; dashed if wanted.
fn stroke(canvas: &mut Rgb8, from: (f64, f64), to: (f64, f64), width: f64, ink: [u8; 3], dashed: bool) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    let steps = (length * (SCALE * FINER) as f64).ceil().max(1.0);
    for step in 0..=steps as usize {
        let share = step as f64 / steps;
        if !dashed || (share * length) % 6.0 < 2.0 {
            disc(canvas, (from.0 + share * dx, from.1 + share * dy), width / 2.0, ink);
        }
    }
}

fn disc(canvas: &mut Rgb8, centre: (f64, f64), radius: f64, ink: [u8; 3]) {
    let pixels = (SCALE * FINER) as f64;
    let (x, y, radius) = (centre.0 * pixels, centre.1 * pixels, radius * pixels);
    let span = |centre: f64, end: usize| {
        let first = (centre - radius).floor().max(0.0) as usize;
        first..((centre + radius).ceil().max(0.0) as usize + 1).min(end)
    };
    for row in span(y, canvas.height) {
        for column in span(x, canvas.width) {
            let (dx, dy) = (column as f64 + 0.5 - x, row as f64 + 0.5 - y);
            if dx * dx + dy * dy <= radius * radius {
                canvas.set_pixel(row, column, ink);
            }
        }
    }
}
