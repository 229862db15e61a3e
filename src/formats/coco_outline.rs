//! Segmentations of MS-COCO's annotations, rasterised exactly as by its reference decoder.
//!
//! | Form | Meaning |
//! |---|---|
//! | `[[x, y, x, y, …], …]` | polygons, drawn together |
//! | `{"size": [h, w], "counts": [n, …]}` | run lengths, alternately outside and inside, column by column |
//! | `{"size": [h, w], "counts": "…"}` | the same, compressed to text |

use std::borrow::Cow;

use serde::Deserialize;

use super::coco_rle::decompress;

/// One object's segmentation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Shape<'a> {
    /// Corners, x and y alternately, of polygons that are drawn together.
    Polygons(Vec<Vec<f64>>),
    /// Runs over the whole image.
    #[serde(borrow)]
    Runs(Runs<'a>),
}

/// A run-length code.
#[derive(Debug, Deserialize)]
pub struct Runs<'a> {
    /// Height and width.
    size: [usize; 2],
    #[serde(borrow)]
    counts: Counts<'a>,
}

/// Lengths of runs.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Counts<'a> {
    Plain(Vec<u64>),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl Shape<'_> {
    /// The pixels that the shape covers, as ranges of column-major indices, sorted and disjoint
    /// within each part. `Err` describes what is wrong.
    pub fn spans(&self, height: usize, width: usize) -> Result<Vec<[usize; 2]>, String> {
        match self {
            Shape::Polygons(polygons) => {
                if polygons.iter().all(|polygon| polygon.len() < CORNERS) {
                    return Err("has no polygon with three corners".into());
                }
                if polygons.iter().flatten().any(|number| number.abs() > FARTHEST) {
                    return Err("has corners far beyond any image".into());
                }
                Ok(polygons.iter().flat_map(|polygon| polygon_spans(polygon, height, width)).collect())
            }
            Shape::Runs(runs) => {
                if runs.size != [height, width] {
                    let [h, w] = runs.size;
                    return Err(format!("is {w}x{h} pixels (width x height), but its image is {width}x{height}"));
                }
                let counts = match &runs.counts {
                    Counts::Plain(counts) => counts.clone(),
                    Counts::Text(text) => decompress(text.as_bytes()).ok_or("has damaged run lengths")?,
                };
                run_spans(&counts, height * width)
                    .ok_or_else(|| "has run lengths that do not add up to its image".into())
            }
        }
    }
}

/// Whether the text of a segmentation has an outline: run lengths, or a polygon with three corners. Other texts are
/// faults, which [`Shape::spans`] describes.
pub fn has_outline(text: &str) -> bool {
    let Some(polygons) = text.trim().strip_prefix('[') else { return !matches!(text.trim(), "" | "null") };
    // The text before a bracket that closes has the numbers of one polygon; a comma precedes all polygons but the first.
    let numbers = |polygon: &str| polygon.rsplit('[').next().unwrap_or_default().matches(',').count() + 1;
    polygons.split(']').any(|polygon| numbers(polygon) >= CORNERS)
}

/// Numbers of a polygon with three corners.
const CORNERS: usize = 6;

/// The pixels covered by every second run; the lengths must add up to `length`.
fn run_spans(counts: &[u64], length: usize) -> Option<Vec<[usize; 2]>> {
    let (mut spans, mut at) = (Vec::new(), 0_usize);
    for (index, count) in counts.iter().enumerate() {
        let end = at.checked_add(usize::try_from(*count).ok()?).filter(|end| *end <= length)?;
        if index % 2 == 1 && at < end {
            spans.push([at, end]);
        }
        at = end;
    }
    (at == length).then_some(spans)
}

/// Corners beyond it are refused: the walk along an edge would take too long.
const FARTHEST: f64 = 1e5;

/// The grid on which edges are walked is so many times finer than the pixels.
const FINER: f64 = 5.0;

/// The pixels inside a polygon, by the reference's rule.
///
/// Edges are walked on a finer grid, one step at a time along their longer axis. Wherever the walk goes from one column
/// of that grid to the next, and the step passes the middle of a column of pixels, the outline crosses that column; the
/// pixel below the crossing is where inside and outside change. Places between the first and second change are inside,
/// between the third and fourth, and so on; the count continues from the end of a column at the start of the next.
fn polygon_spans(numbers: &[f64], height: usize, width: usize) -> Vec<[usize; 2]> {
    let fine = |value: f64| (FINER * value + 0.5) as i32;
    let corners: Vec<[i32; 2]> = numbers.as_chunks::<2>().0.iter().map(|corner| corner.map(fine)).collect();
    let mut changes = Vec::new();
    let mut last: Option<[i32; 2]> = None;
    for (index, from) in corners.iter().enumerate() {
        walk(*from, corners[(index + 1) % corners.len()], |point| {
            if let Some(change) = last.replace(point).and_then(|last| crossing(last, point, height, width)) {
                changes.push(change);
            }
        });
    }
    changes.sort_unstable();
    changes.push(height * width);
    changes.as_chunks::<2>().0.iter().filter(|[start, end]| start < end).copied().collect()
}

/// Visits the grid points of an edge, both ends included, in order. Intermediate points are computed from the
/// smaller end, regardless of the direction of the walk.
fn walk(from: [i32; 2], to: [i32; 2], mut visit: impl FnMut([i32; 2])) {
    // Along the longer axis, x if they are equal.
    let along = usize::from((to[0] - from[0]).abs() < (to[1] - from[1]).abs());
    let across = 1 - along;
    let (low, high) = if from[along] > to[along] { (to, from) } else { (from, to) };
    let steps = high[along] - low[along];
    let slope = f64::from(high[across] - low[across]) / f64::from(steps);
    for step in 0..=steps {
        let step = if from[along] > to[along] { steps - step } else { step };
        let mut point = low;
        point[along] += step;
        // An edge of length 0 has no slope and needs none.
        if steps > 0 {
            point[across] = (f64::from(low[across]) + slope * f64::from(step) + 0.5) as i32;
        }
        visit(point);
    }
}

/// Where inside and outside change between two neighbouring points of the walk, if they lie on both sides of the middle
/// of a column: its place in column-major order.
fn crossing(last: [i32; 2], point: [i32; 2], height: usize, width: usize) -> Option<usize> {
    let pixel = |fine: i32| (f64::from(fine) + 0.5) / FINER - 0.5;
    if point[0] == last[0] {
        return None;
    }
    let column = pixel(if point[0] < last[0] { point[0] } else { point[0] - 1 });
    if column.floor() != column || column < 0.0 || column > width as f64 - 1.0 {
        return None;
    }
    let row = pixel(point[1].min(last[1])).clamp(0.0, height as f64).ceil();
    Some(column as usize * height + row as usize)
}
