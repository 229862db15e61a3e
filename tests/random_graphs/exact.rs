//! Which values f32 holds exactly: multiples of a power of two, bounded so that no sum of them is rounded.

use super::program::Line;
use super::record::Fill;

/// What is known of a tensor without computing it.
#[derive(Clone, Debug)]
pub struct Known {
    pub shape: Vec<usize>,
    pub is_real: bool,
    pub is_state: bool,
    /// Whether it is an input, a state or a constant.
    pub is_source: bool,
    /// Whether it may be read: updates give nothing.
    pub is_value: bool,
    /// No element is larger.
    pub bound: f64,
    /// All elements are multiples of two to this power; `None` where they may be rounded.
    pub unit: Option<i32>,
}

/// Elements of f32 have so many bits.
const BITS: i32 = 24;

impl Known {
    /// Whether no element is rounded.
    pub fn is_exact(&self) -> bool {
        self.unit.is_some()
    }

    /// With the unit left out where `terms` such elements may add up to more than can be held.
    fn of(bound: f64, unit: Option<i32>) -> (f64, Option<i32>) {
        (bound, unit.filter(|&unit| bound <= 2f64.powi(unit + BITS - 1)))
    }
}

fn last_extent(known: &Known) -> f64 {
    known.shape.last().copied().unwrap_or(1) as f64
}

/// The terms of every sum of a product; of its second product, for attention; `None` for other ops.
pub fn terms(op: &str, takes: &[&Known]) -> Option<f64> {
    Some(match op {
        "matmul" | "linear" | "matmul_nt" | "attention_scores" | "attention_values" => last_extent(takes[0]),
        "attention" => takes[1].shape[1] as f64,
        "matmul_tn" => takes[0].shape[takes[0].shape.len() - 2] as f64,
        "conv2d" | "conv2d_with" => takes[1].shape[1..].iter().product::<usize>() as f64,
        "depthwise_conv2d" => takes[1].shape[2].pow(2) as f64,
        _ => return None,
    })
}

/// The bound and the unit of what a line gives, from those of what it takes.
pub fn of(line: &Line, takes: &[&Known], shape: &[usize]) -> (f64, Option<i32>) {
    let number = |index: usize| line.numbers.get(index).copied().unwrap_or(0) as f64;
    let len = |known: &Known| known.shape.iter().product::<usize>() as f64;
    let results = shape.iter().product::<usize>().max(1) as f64;
    let bound = |index: usize| takes.get(index).map_or(0.0, |known| known.bound);
    let largest = takes.iter().map(|known| known.bound).fold(0.0, f64::max);
    let unit = takes.iter().map(|known| known.unit).min_by_key(|unit| unit.unwrap_or(i32::MIN)).flatten();
    let units = || Some(takes[0].unit? + takes[1].unit?);
    // A sum of products of the first two, and the third added.
    let products = || {
        let terms = terms(&line.op, takes).unwrap_or(1.0);
        let bias = takes.get(2).map_or(Some(units().unwrap_or(0)), |bias| bias.unit);
        Known::of(terms * bound(0) * bound(1) + bound(2), units().and_then(|unit| Some(unit.min(bias?))))
    };
    match line.op.as_str() {
        "input" | "state" | "constant" => match line.numbers.first() {
            // States that are updated keep to eight.
            Some(0) if line.op == "state" => (8.0, Some(-2)),
            Some(0) => (2.0, Some(-2)),
            Some(1) if line.op == "state" => (64.0, None),
            // What f32 holds of a tenth.
            Some(&fill) if fill == Fill::Tenths as i64 => (1.5, Some(-27)),
            Some(1) => (1.5, None),
            Some(&fill) if fill == Fill::Words as i64 => (2f64.powi(31), None),
            _ => (300.0, Some(0)),
        },
        "state_filled" => (64.0, None),
        "full_of_tenths" => (number(0).abs() / 10.0, Some(-27)),
        "plus_number" => (bound(0) + number(0).abs() / 10.0, None),
        "times_number" => (bound(0) * number(0).abs() / 10.0, None),
        "over_number" => (bound(0) * 10.0 / number(0).abs(), None),
        // Divisors are one or more.
        "number_over" => (number(0).abs() / 10.0, None),
        "full" | "scalar" => (number(0).abs() / 2.0, Some(-1)),
        "neg" | "negative" | "abs" | "to_real" | "relu" | "expand" | "permute" | "slice" | "pad" | "flip"
        | "concat" | "reshape" | "detach" | "hoist" | "max" | "max_keep" | "min" | "min_keep" | "maximum"
        | "minimum" | "gather_slots" | "pack" => Known::of(largest, unit),
        // 6 is a multiple of 2, not of more.
        "relu6" => Known::of(largest, unit.map(|unit| unit.min(1))),
        "select" => Known::of(bound(1).max(bound(2)), unit),
        "trunc" | "to_integer" => Known::of(largest, unit.map(|unit| unit.max(0))),
        "finite" | "equal" | "greater" | "at_least" => (1.0, unit.map(|_| 0)),
        "sigmoid" | "softmax" | "softmax_scaled" => (1.0, None),
        "random" => (1.0, Some(-24)),
        "add" | "sub" | "plus" | "minus" => Known::of(bound(0) + bound(1), unit),
        "offset" | "minus_from" => Known::of(bound(0) + number(0).abs(), unit.map(|unit| unit.min(-1))),
        "mul" | "times" => Known::of(bound(0) * bound(1), units()),
        "scale" => {
            let power = number(1) as i32;
            Known::of(bound(0) * number(0).abs() * 2f64.powi(power), unit.map(|unit| unit + power))
        }
        "sum" | "sum_keep" | "sum_all" | "sum_all_axes" => {
            Known::of(bound(0) * (len(takes[0]) / results).max(1.0), unit)
        }
        "mean" | "mean_keep" | "mean_all" => (bound(0), None),
        "scatter_slots" => Known::of(bound(0) * last_extent(takes[0]).max(1.0), unit),
        "arg_max" | "arg_max_keep" => (len(takes[0]), unit.map(|_| 0)),
        "lookup" => (bound(0), unit),
        "pixels" => (bound(1), takes[1].unit),
        "matmul" | "linear" | "matmul_nt" | "matmul_tn" | "attention_scores" | "attention_values" | "conv2d"
        | "conv2d_with" | "depthwise_conv2d" => products(),
        "exp" => (largest.exp(), None),
        "log" | "log_sigmoid" | "gelu" => (largest + 2.0, None),
        "sqrt" => (largest.sqrt(), None),
        // Divisors are made larger than a half.
        "div" | "over" => (2.0 * bound(0), None),
        "layer_norm" => (bound(1) * last_extent(takes[0]).sqrt() + bound(2), None),
        "batch_norm" => (10.0 * bound(0) * bound(2) + bound(3), None),
        "batch_statistics" => (largest * largest + largest, None),
        "log_softmax" => (2.0 * largest + 10.0, None),
        "attention" => (bound(2), None),
        "resize_channels_last_onto" => (bound(0) + bound(1), None),
        "margin_map" | "cross_entropy_map" => (32.0 * (largest + 1.0), None),
        "par_step" => (2.0 * bound(0) * bound(1).max(1.0), None),
        "par_weights" => (2.0, None),
        "gradients" | "pull_back" => (64.0, None),
        _ => (largest, None),
    }
}
