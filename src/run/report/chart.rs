//! Line charts: their layout, and their output as inline SVG (no script, colours from the page's style sheet, values
//! on hover). `plot.rs` paints it into a picture.

use std::fmt::Write;

/// Size of the drawing and of the space around the plot, in SVG units.
pub(super) const WIDTH: f64 = 760.0;
pub(super) const HEIGHT: f64 = 280.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 104.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;
/// Lines with more points than this are thinned by averaging neighbours.
const MOST_POINTS: usize = 240;
/// Labels at the ends of lines stay this far apart.
const LABEL_HEIGHT: f64 = 15.0;

/// One line of a chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// Label at the line's end.
    pub name: String,
    /// (x, y) in ascending x; values that are not finite are omitted.
    pub points: Vec<(f64, f64)>,
    /// Standard deviation of the values behind each point; may be shorter than the points.
    pub spread: Vec<f64>,
}

/// A chart of lines over steps.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// A description for screen readers.
    pub title: String,
    /// The lines; the n-th has the classes `line` and `s<n>`.
    pub series: Vec<Series>,
    /// Draw each line smoothed, over a faint line of the raw values; else mark every point.
    pub smooth: bool,
    /// y is a fraction, shown in per cent.
    pub percent: bool,
    /// Steps at which something begins, with its name.
    pub events: Vec<(f64, String)>,
    /// Names of the positions 0, 1, 2, … on the x axis if it does not count steps.
    pub places: Vec<String>,
}

/// The kind of a mark, which decides its style; the number is the index of its series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Look {
    Grid,
    Event,
    Tick,
    Raw(usize),
    Line(usize),
    Spread(usize),
    Dot(usize),
    Name(usize),
}

/// Which end of a text lies at its position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawn element, in SVG units.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    Rule { look: Look, from: (f64, f64), to: (f64, f64) },
    Curve { look: Look, points: Vec<(f64, f64)> },
    Dot { look: Look, at: (f64, f64) },
    Text { look: Look, at: (f64, f64), anchor: Anchor, text: String, value: String },
}

/// Converts values to positions in the drawing.
struct Frame {
    x_max: f64,
    y_max: f64,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.x_max * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (value / self.y_max).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> String {
        let title = escape(&self.title);
        let mut svg =
            format!("<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n");
        self.marks().iter().for_each(|mark| svg.push_str(&mark.svg()));
        self.draw_hover(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// All elements in drawing order.
    pub(super) fn marks(&self) -> Vec<Mark> {
        let (lines, frame, y_step) = self.layout();
        let mut marks = Vec::new();
        self.draw_axes(&mut marks, &frame, y_step);
        let places = |points: &[(f64, f64)]| points.iter().map(|(x, y)| (frame.x(*x), frame.y(*y))).collect::<Vec<_>>();
        if self.smooth {
            for (n, series) in self.series.iter().enumerate() {
                marks.push(Mark::Curve { look: Look::Raw(n), points: places(&thin(&series.points)) });
            }
        }
        // The first series is the most important, so it is drawn last.
        for (n, points) in lines.iter().enumerate().rev() {
            for ((x, y), spread) in points.iter().zip(&self.series[n].spread) {
                let (from, to) = ((frame.x(*x), frame.y(y - spread)), (frame.x(*x), frame.y(y + spread)));
                marks.push(Mark::Rule { look: Look::Spread(n), from, to });
            }
            marks.push(Mark::Curve { look: Look::Line(n), points: places(points) });
            if !self.smooth {
                marks.extend(places(points).into_iter().map(|at| Mark::Dot { look: Look::Dot(n), at }));
            }
        }
        self.draw_labels(&mut marks, &frame, &lines);
        marks
    }

    /// The lines as drawn, their frame, and the distance of its horizontal grid lines.
    fn layout(&self) -> (Vec<Vec<(f64, f64)>>, Frame, f64) {
        let line = |series: &Series| match self.smooth {
            true => smoothed(&thin(&series.points)),
            false => thin(&series.points),
        };
        let lines: Vec<_> = self.series.iter().map(line).collect();
        let largest = |axis: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(axis).fold(0.0, f64::max);
        let y_step = tick_step(largest(|point| point.1), 4.0);
        let frame = Frame {
            x_max: largest(|point| point.0).max(1.0),
            y_max: (largest(|point| point.1) * 1.02 / y_step).ceil().max(1.0) * y_step,
        };
        (lines, frame, y_step)
    }

    fn draw_axes(&self, marks: &mut Vec<Mark>, frame: &Frame, y_step: f64) {
        let text = |look, at, anchor, text| Mark::Text { look, at, anchor, text, value: String::new() };
        for tick in 0..=(frame.y_max / y_step).round() as usize {
            let (value, y) = (tick as f64 * y_step, frame.y(tick as f64 * y_step));
            marks.push(Mark::Rule { look: Look::Grid, from: (LEFT, y), to: (WIDTH - RIGHT, y) });
            marks.push(text(Look::Tick, (LEFT - 8.0, y + 4.0), Anchor::End, self.label(value, y_step)));
        }
        let x_step = if self.places.is_empty() { tick_step(frame.x_max, 6.0).max(1.0) } else { 1.0 };
        for tick in 0..=(frame.x_max / x_step).floor() as usize {
            let value = tick as f64 * x_step;
            let name = self.places.get(tick).cloned().unwrap_or_else(|| value.to_string());
            marks.push(text(Look::Tick, (frame.x(value), HEIGHT - 8.0), Anchor::Middle, name));
        }
        // Events at the same step share one line and one label.
        let mut events = self.events.iter().filter(|(step, _)| *step <= frame.x_max).collect::<Vec<_>>();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        for group in events.chunk_by(|a, b| a.0 == b.0) {
            let x = frame.x(group[0].0);
            let words: Vec<_> = group.iter().map(|(_, word)| word.as_str()).collect();
            marks.push(Mark::Rule { look: Look::Event, from: (x, TOP - 6.0), to: (x, HEIGHT - BOTTOM) });
            marks.push(text(Look::Event, (x + 4.0, TOP - 9.0), Anchor::Start, words.join(", ")));
        }
    }

    /// Names and last values at the ends of the lines, pushed apart where lines end close together.
    fn draw_labels(&self, marks: &mut Vec<Mark>, frame: &Frame, lines: &[Vec<(f64, f64)>]) {
        let mut labels: Vec<(f64, usize, f64)> = lines
            .iter()
            .enumerate()
            .filter_map(|(n, points)| points.last().map(|(_, value)| (frame.y(*value), n, *value)))
            .collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut lowest = HEIGHT - BOTTOM + 4.0;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(lowest);
            lowest = label.0 - LABEL_HEIGHT;
        }
        for (y, n, value) in labels {
            let (text, value) = (self.series[n].name.clone(), self.label(value, 0.001));
            let at = (WIDTH - RIGHT + 10.0, y + 4.0);
            marks.push(Mark::Text { look: Look::Name(n), at, anchor: Anchor::Start, text, value });
        }
    }

    /// Invisible columns that show all values of their step while the pointer rests on them.
    fn draw_hover(&self, svg: &mut String) {
        let (lines, frame, _) = self.layout();
        let Some(longest) = lines.iter().max_by_key(|points| points.len()) else { return };
        let plot = WIDTH - LEFT - RIGHT;
        let wide = plot / longest.len().max(1) as f64;
        for (step, _) in longest {
            let mut title = match self.places.get(*step as usize) {
                Some(place) => escape(place),
                None => format!("step {step:.0}"),
            };
            for (series, points) in self.series.iter().zip(&lines) {
                if let Some((_, value)) = points.iter().find(|(x, _)| x == step) {
                    title.push_str(&format!("\n{} {}", escape(&series.name), self.label(*value, 0.001)));
                }
            }
            let (x, top, bottom, high) = (frame.x(*step), TOP, HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM);
            let left = x - wide / 2.0;
            // Writing to a string cannot fail.
            let _ = writeln!(
                svg,
                "<g class=\"at\"><title>{title}</title><rect x=\"{left:.1}\" y=\"{top}\" width=\"{wide:.1}\" \
                 height=\"{high}\"/><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/></g>"
            );
        }
    }

    fn label(&self, value: f64, step: f64) -> String {
        let decimals = (-step.log10()).ceil().max(0.0) as usize;
        match self.percent {
            true => format!("{:.*}%", decimals.saturating_sub(2), 100.0 * value),
            false => format!("{value:.decimals$}"),
        }
    }
}

impl Look {
    /// The classes of the style sheet.
    fn class(self) -> String {
        match self {
            Look::Grid => "grid".into(),
            Look::Event => "event".into(),
            Look::Tick => "tick".into(),
            Look::Raw(n) => format!("raw s{n}"),
            Look::Line(n) => format!("line s{n}"),
            Look::Spread(n) => format!("spread s{n}"),
            Look::Dot(n) => format!("s{n}"),
            Look::Name(n) => format!("name s{n}"),
        }
    }
}

impl Mark {
    fn svg(&self) -> String {
        match self {
            Mark::Rule { look, from: (x1, y1), to: (x2, y2) } => {
                let class = look.class();
                format!("<line class=\"{class}\" x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1:.1}\" y2=\"{y2:.1}\"/>\n")
            }
            Mark::Curve { look, points } => {
                let places: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                format!("<polyline class=\"{}\" points=\"{}\"/>\n", look.class(), places.join(" "))
            }
            Mark::Dot { look, at: (x, y) } => {
                format!("<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>\n", look.class())
            }
            Mark::Text { look, at: (x, y), anchor, text, value } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let value = if value.is_empty() { String::new() } else { format!(" <tspan>{value}</tspan>") };
                let (class, text) = (look.class(), escape(text));
                format!(
                    "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}{value}</text>\n"
                )
            }
        }
    }
}

/// The finite points, at most [`MOST_POINTS`] of them: neighbours are averaged.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if finite.len() <= MOST_POINTS {
        return finite;
    }
    let size = finite.len().div_ceil(MOST_POINTS);
    let mean_y = |chunk: &[(f64, f64)]| chunk.iter().map(|(_, y)| y).sum::<f64>() / chunk.len() as f64;
    finite.chunks(size).map(|chunk| (chunk[chunk.len() - 1].0, mean_y(chunk))).collect()
}

/// An exponential moving average over a fifteenth of the points, with bias correction.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 15.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut step = |(x, y): &(f64, f64)| {
        sum = keep * sum + y;
        weight = keep * weight + 1.0;
        (*x, sum / weight)
    };
    points.iter().map(&mut step).collect()
}

/// A round distance (1, 2 or 5 times a power of ten) that gives about `count` ticks up to `largest`.
fn tick_step(largest: f64, count: f64) -> f64 {
    if largest <= 0.0 {
        return 1.0;
    }
    let rough = largest / count;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(power)
}

/// `text` with the special characters of HTML escaped.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(tick_step(300.0, 6.0), 50.0);
        assert_eq!(tick_step(1.7, 4.0), 0.5);
        assert!((tick_step(0.53, 4.0) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn long_lines_are_thinned_and_keep_their_end_and_mean() {
        let points: Vec<_> = (0..10_000).map(|x| (x as f64, 2.0)).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= MOST_POINTS && thinned[thinned.len() - 1] == (9999.0, 2.0));
        assert!(smoothed(&thinned).iter().all(|(_, y)| (y - 2.0).abs() < 1e-9));
    }

    #[test]
    fn an_empty_chart_is_still_an_element() {
        let svg = Chart::default().svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }
}
