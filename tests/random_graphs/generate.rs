//! Draws programs: ops on tensors that are there, and sources of the shapes that an op needs.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tagseg::engine::graph::DType;

use super::exact::{self, Known};
use super::program::{Line, Program};
use super::random::Random;
use super::record::{Fill, Recorder};

/// Elements of a tensor at most, but for a few.
const ELEMENTS: usize = 2048;

/// Elements that the interpreter computes in no time.
const LARGEST: usize = 200_000;

/// Every op that is drawn, with how often.
pub const OPS: &[(&str, usize)] = &[
    ("unary", 8),
    ("careful", 5),
    ("binary", 10),
    ("compare", 4),
    ("select", 2),
    ("reduce", 8),
    ("extrema", 5),
    ("whole", 2),
    ("arg_max", 2),
    ("permute", 4),
    ("slice", 4),
    ("pad", 3),
    ("flip", 2),
    ("concat", 3),
    ("reshape", 4),
    ("detach", 2),
    ("expand", 3),
    ("matmul", 6),
    ("linear", 3),
    ("scores", 2),
    ("attention", 2),
    ("layer_norm", 2),
    ("batch_norm", 3),
    ("softmax", 4),
    ("conv2d", 4),
    ("depthwise_conv2d", 2),
    ("resize", 4),
    ("box_resize", 1),
    ("pixel_loss", 2),
    ("slots", 2),
    ("lookup", 1),
    ("pixels", 1),
    ("par", 1),
    ("random", 1),
    ("pack", 2),
    ("assign", 5),
    ("write_row", 2),
    ("flag_nonfinite", 1),
    ("optimiser", 2),
    ("gradients", 7),
    ("hoist", 1),
    ("constant", 2),
    ("wild", 6),
];

/// Ops that are tried on operands of any shapes: they give numbers for any numbers.
const WILD: &[&str] = &[
    "add",
    "select",
    "expand",
    "sum",
    "max_keep",
    "mean",
    "arg_max",
    "permute",
    "slice",
    "pad",
    "flip",
    "concat",
    "reshape",
    "matmul",
    "matmul_nt",
    "matmul_tn",
    "linear",
    "attention_scores",
    "attention_values",
    "attention",
    "layer_norm",
    "batch_statistics",
    "softmax",
    "log_softmax",
    "conv2d",
    "conv2d_with",
    "depthwise_conv2d",
    "resize",
    "resize_by_factor",
    "resize_channels_last",
    "resize_channels_last_by_factor",
    "resize_channels_last_onto",
    "margin_map",
    "cross_entropy_map",
    "pixels",
    "lookup",
    "gather_slots",
    "scatter_slots",
    "random",
    "pack",
    "assign",
    "write_row",
    "flag_nonfinite",
    "gradients",
    "pull_back",
    "sgd",
];

/// A program that panics while it is recorded.
pub struct Panicked {
    pub program: Program,
    pub message: String,
}

pub struct Generator {
    random: Random,
    recorder: Recorder,
    program: Program,
    known: HashMap<usize, Known>,
    next: usize,
    /// How often an extent is 0, in hundredths.
    empty: usize,
    half: bool,
    optimised: Vec<usize>,
    panicked: Option<String>,
}

/// The program of a seed.
pub fn generate(seed: u64, targets: usize) -> Result<Program, Panicked> {
    let mut random = Random::new(seed);
    let empty = if random.chance(30) { 12 } else { 0 };
    let half = random.chance(15);
    let mut generator = Generator {
        recorder: Recorder::new(seed, None),
        program: Program { seed, ..Program::default() },
        known: HashMap::new(),
        next: 0,
        empty,
        half,
        optimised: Vec::new(),
        panicked: None,
        random,
    };
    let ops = 2 + generator.random.below(14);
    let mut drawn = 0;
    for _ in 0..4 * ops {
        if drawn == ops || generator.panicked.is_some() {
            break;
        }
        drawn += usize::from(generator.draw().is_some());
    }
    if let Some(message) = generator.panicked {
        return Err(Panicked { program: generator.program, message });
    }
    Ok(generator.finish(targets))
}

impl Generator {
    /// Chooses outputs and how to run.
    fn finish(mut self, targets: usize) -> Program {
        let random = &mut self.random;
        let mut values: Vec<_> = self.known.iter().filter(|(_, known)| known.is_value).map(|(n, _)| *n).collect();
        values.sort_unstable();
        let taken: Vec<_> = self.program.lines.iter().flat_map(|line| line.takes.clone()).collect();
        values.retain(|number| !taken.contains(number) || random.chance(15));
        while values.len() > 8 {
            let one = random.below(values.len());
            values.remove(one);
        }
        let second =
            if values.len() > 1 && random.chance(25) { values.split_off(values.len() / 2) } else { Vec::new() };
        self.program.reads = [values, second].into_iter().filter(|reads| !reads.is_empty()).collect();
        let any = !self.half && random.chance(30);
        self.program.target = random.below(if any { targets } else { 2 });
        self.program.limit = random.chance(25).then(|| 40 + random.below(60) as u64);
        self.program
    }

    fn known(&self, number: usize) -> &Known {
        &self.known[&number]
    }

    /// Records a line; nothing is left of one that is refused.
    fn line(&mut self, op: &str, takes: &[usize], numbers: &[i64], gives: usize) -> Option<usize> {
        let (first, half) = (self.next, self.half && self.random.chance(60));
        let line = Line {
            gives: (first..first + gives).collect(),
            op: op.to_owned(),
            takes: takes.to_vec(),
            numbers: numbers.to_vec(),
            half,
        };
        let recorder = &mut self.recorder;
        let recorded = catch_unwind(AssertUnwindSafe(|| recorder.line(&line, &|_| true)));
        match recorded {
            Err(panic) => {
                self.panicked = Some(message(&*panic));
                self.program.lines.push(line);
                return None;
            }
            Ok(Err(error)) => {
                let text = error.to_string();
                if text.lines().count() != 1 {
                    self.panicked = Some(format!("an error of several lines: {text}"));
                    self.program.lines.push(line);
                }
                return None;
            }
            Ok(Ok(())) => {}
        }
        let len = |number: &usize| self.recorder.tensor(*number).map_or(0, |tensor| tensor.shape().len());
        if line.gives.iter().any(|number| len(number) > LARGEST) {
            return None;
        }
        for number in line.gives.clone() {
            let Ok(tensor) = self.recorder.tensor(number) else { continue };
            let takes: Vec<_> = line.takes.iter().map(|taken| &self.known[taken]).collect();
            let shape = tensor.shape().to_vec();
            let (bound, unit) = exact::of(&line, &takes, &shape);
            let known = Known {
                is_real: tensor.dtype() == DType::F32,
                is_state: tensor.is_state() && line.op.starts_with("state"),
                is_value: !["assign", "write_row", "flag_nonfinite", "sgd", "adamw", "adamw_op"].contains(&op),
                bound,
                unit,
                shape,
            };
            self.known.insert(number, known);
        }
        self.program.lines.push(line);
        self.next += gives;
        Some(first)
    }

    fn op(&mut self, op: &str, takes: &[usize], numbers: &[i64]) -> Option<usize> {
        self.line(op, takes, numbers, 1)
    }

    fn extent(&mut self) -> usize {
        match self.random.below(100) {
            _ if self.empty > 0 && self.random.chance(self.empty) => 0,
            0..20 => 1,
            20..50 => 4,
            _ => 2 + self.random.below(8),
        }
    }

    fn shape(&mut self, rank: usize) -> Vec<usize> {
        loop {
            let mut shape: Vec<_> = (0..rank).map(|_| self.extent()).collect();
            if rank > 0 && self.random.chance(3) {
                let large = self.random.of(&[64, 65, 129, 257, 1030, 4099, 33_001, 66_000, 70_001, 140_002]);
                shape.iter_mut().skip(1).for_each(|extent| *extent = 1);
                shape[0] = 1 + shape[0] % 3;
                let place = self.random.below(rank);
                shape[place] = large;
                return shape;
            }
            if shape.iter().product::<usize>() <= ELEMENTS {
                return shape;
            }
        }
    }

    fn source(&mut self, shape: &[usize], fill: Fill, bound: i64) -> Option<usize> {
        let numbers = [fill as i64, bound].into_iter().chain(shape.iter().map(|&extent| extent as i64));
        let numbers: Vec<_> = numbers.collect();
        let op = match self.random.below(10) {
            0..2 if fill.is_real() => "constant",
            2..5 if fill.is_real() => "state",
            _ => "input",
        };
        self.op(op, &[], &numbers)
    }

    fn fresh(&mut self, shape: &[usize]) -> Option<usize> {
        let fill = if self.random.chance(50) { Fill::Quarters } else { Fill::Reals };
        self.source(shape, fill, 0)
    }

    fn found(&mut self, fits: impl Fn(&Known) -> bool) -> Option<usize> {
        let mut found: Vec<_> =
            self.known.iter().filter(|(_, known)| known.is_value && fits(known)).map(|(number, _)| *number).collect();
        found.sort_unstable();
        // Later results more often than what they are made of.
        let last = found.len().saturating_sub(3);
        let from = if self.random.chance(60) { last } else { 0 };
        let count = found.len() - from;
        (count > 0).then(|| found[from + self.random.below(count)])
    }

    /// A real tensor of a rank in a range.
    fn real(&mut self, ranks: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let own = ranks.clone();
        if self.random.chance(75)
            && let Some(found) = self.found(|known| known.is_real && own.contains(&known.shape.len()))
        {
            return Some(found);
        }
        let rank = ranks.start() + self.random.below(ranks.end() - ranks.start() + 1);
        let shape = self.shape(rank);
        self.fresh(&shape)
    }

    /// A real tensor of exact values.
    fn exact(&mut self) -> Option<usize> {
        if self.random.chance(70)
            && let Some(found) = self.found(|known| known.is_real && known.unit.is_some())
        {
            return Some(found);
        }
        let rank = self.random.below(5);
        let shape = self.shape(rank);
        self.source(&shape, Fill::Quarters, 0)
    }

    /// A real tensor of this shape: one that is there, another under this shape, or a source.
    fn of_shape(&mut self, shape: &[usize]) -> Option<usize> {
        if self.random.chance(50)
            && let Some(found) = self.found(|known| known.is_real && known.shape == shape)
        {
            return Some(found);
        }
        let len: usize = shape.iter().product();
        if self.random.chance(40)
            && let Some(found) = self.found(|known| known.is_real && known.shape.iter().product::<usize>() == len)
        {
            return self.op("reshape", &[found], &integers(shape));
        }
        self.fresh(shape)
    }

    /// The same with no element above `most`.
    fn tame(&mut self, number: usize, most: f64) -> Option<usize> {
        let bound = self.known(number).bound;
        if bound <= most {
            return Some(number);
        }
        let power = (bound / most).log2().ceil();
        if power > 60.0 { None } else { self.op("scale", &[number], &[1, -(power as i64)]) }
    }

    fn tame_real(&mut self, ranks: std::ops::RangeInclusive<usize>, most: f64) -> Option<usize> {
        let x = self.real(ranks)?;
        self.tame(x, most)
    }

    fn axis(&mut self, rank: usize) -> i64 {
        let axis = self.random.below(rank) as i64;
        if self.random.chance(30) { axis - rank as i64 } else { axis }
    }

    fn axes(&mut self, rank: usize) -> Vec<i64> {
        let mut axes: Vec<_> = (0..rank as i64).filter(|_| self.random.chance(45)).collect();
        if axes.is_empty() {
            axes.push(self.random.below(rank) as i64);
        }
        axes
    }

    /// A shape that broadcasts with this one.
    fn broadcast(&mut self, shape: &[usize]) -> Vec<usize> {
        let mut other = shape.to_vec();
        for extent in &mut other {
            if self.random.chance(35) {
                *extent = 1;
            } else if *extent == 1 && self.random.chance(30) {
                *extent = self.extent();
            }
        }
        let dropped = if self.random.chance(30) { self.random.below(other.len() + 1) } else { 0 };
        other.split_off(dropped)
    }

    /// An op of those in [`OPS`].
    fn draw(&mut self) -> Option<usize> {
        let total = OPS.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.below(total);
        let kind = OPS.iter().find(|(_, weight)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        match kind?.0 {
            "unary" => {
                let op = self.random.of(&[
                    "neg",
                    "abs",
                    "relu",
                    "relu6",
                    "sigmoid",
                    "log_sigmoid",
                    "gelu",
                    "finite",
                    "to_real",
                    "scale",
                    "offset",
                    "minus_from",
                    "negative",
                ]);
                let x = self.tame_real(0..=6, 64.0)?;
                let numbers = match op {
                    "scale" => vec![self.random.of(&[-3, -1, 1, 2, 5]), self.random.of(&[-2, -1, 0])],
                    "offset" | "minus_from" => vec![self.random.below(9) as i64 - 4],
                    _ => Vec::new(),
                };
                self.op(op, &[x], &numbers)
            }
            // Functions that need operands of a kind.
            "careful" => {
                let x = self.tame_real(0..=6, 6.0)?;
                match self.random.below(5) {
                    0 => self.op("exp", &[x], &[]),
                    1 => {
                        let x = self.exact()?;
                        let op = self.random.of(&["trunc", "to_integer"]);
                        self.op(op, &[x], &[])
                    }
                    choice => {
                        let size = self.op("abs", &[x], &[])?;
                        let above = self.op("offset", &[size], &[1])?;
                        match choice {
                            2 => self.op("log", &[above], &[]),
                            3 => self.op("sqrt", &[above], &[]),
                            _ => {
                                let shape = self.known(above).shape.clone();
                                let other = self.broadcast(&shape);
                                let over = self.of_shape(&other)?;
                                let op = self.random.of(&["div", "over"]);
                                self.op(op, &[over, above], &[])
                            }
                        }
                    }
                }
            }
            "binary" => {
                let x = self.tame_real(0..=6, 512.0)?;
                let shape = self.known(x).shape.clone();
                let other = self.broadcast(&shape);
                let y = self.of_shape(&other)?;
                let y = self.tame(y, 512.0)?;
                let op = self.random.of(&["add", "sub", "mul", "maximum", "minimum", "plus", "minus", "times"]);
                let takes = if self.random.chance(50) { [x, y] } else { [y, x] };
                self.op(op, &takes, &[])
            }
            "compare" => {
                let x = self.exact()?;
                let shape = self.known(x).shape.clone();
                let other = self.broadcast(&shape);
                let y = self.source(&other, Fill::Quarters, 0)?;
                let op = self.random.of(&["equal", "greater", "at_least"]);
                self.op(op, &[x, y], &[])
            }
            "select" => {
                let x = self.exact()?;
                let shape = self.known(x).shape.clone();
                let [yes, no] = [self.broadcast(&shape), self.broadcast(&shape)];
                let (yes, no) = (self.of_shape(&yes)?, self.of_shape(&no)?);
                self.op("select", &[x, yes, no], &[])
            }
            "reduce" => {
                let x = self.real(1..=6)?;
                let axes = self.axes(self.known(x).shape.len());
                let op = self.random.of(&["sum", "sum_keep", "mean", "mean_keep"]);
                self.op(op, &[x], &axes)
            }
            "extrema" => {
                let x = self.real(1..=6)?;
                let axes = self.axes(self.known(x).shape.len());
                let op = self.random.of(&["max", "max_keep", "min", "min_keep"]);
                self.op(op, &[x], &axes)
            }
            "whole" => {
                let x = self.real(0..=6)?;
                let op = self.random.of(&["sum_all", "mean_all", "sum_all_axes"]);
                self.op(op, &[x], &[])
            }
            "arg_max" => {
                let x = self.exact()?;
                let rank = self.known(x).shape.len();
                let axis = self.axis(rank);
                let op = self.random.of(&["arg_max", "arg_max_keep"]);
                self.op(op, &[x], &[axis])
            }
            "permute" => {
                let x = self.found(|_| true)?;
                let rank = self.known(x).shape.len();
                let mut order: Vec<_> = (0..rank as i64).collect();
                for end in (1..rank).rev() {
                    order.swap(end, self.random.below(end + 1));
                }
                self.op("permute", &[x], &order)
            }
            "slice" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                let extent = self.extent_of(x, axis);
                let start = self.random.below(extent.max(1));
                let end = start + 1 + self.random.below(extent.saturating_sub(start).max(1));
                self.op("slice", &[x], &[axis, start as i64, end as i64])
            }
            "pad" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                let extent = self.extent_of(x, axis);
                let start = self.random.below(5);
                let end = start + extent + self.random.below(5);
                self.op("pad", &[x], &[axis, start as i64, end as i64])
            }
            "flip" => {
                let x = self.found(|known| !known.shape.is_empty())?;
                let axis = self.axis(self.known(x).shape.len());
                self.op("flip", &[x], &[axis])
            }
            "concat" => {
                let x = self.real(1..=6)?;
                let shape = self.known(x).shape.clone();
                let axis = self.random.below(shape.len());
                let mut parts = vec![x];
                for _ in 0..1 + self.random.below(3) {
                    let mut shape = shape.clone();
                    shape[axis] = self.extent();
                    parts.push(self.of_shape(&shape)?);
                }
                self.op("concat", &parts, &[axis as i64])
            }
            "reshape" => {
                let x = self.found(|_| true)?;
                let shape = self.reshaped(x);
                self.op("reshape", &[x], &integers(&shape))
            }
            "detach" => {
                let x = self.found(|_| true)?;
                self.op("detach", &[x], &[])
            }
            "expand" => {
                let x = self.real(0..=4)?;
                let mut shape = self.known(x).shape.clone();
                for extent in shape.iter_mut().filter(|extent| **extent == 1) {
                    *extent = self.extent();
                }
                while shape.len() < 6 && self.random.chance(40) {
                    let extent = self.extent();
                    shape.insert(0, extent);
                }
                if shape.iter().product::<usize>() > 8 * ELEMENTS {
                    return None;
                }
                self.op("expand", &[x], &integers(&shape))
            }
            "matmul" => {
                let x = self.tame_real(2..=5, 64.0)?;
                let mut shape = self.known(x).shape.clone();
                let rank = shape.len();
                let (op, kept, free) = self.random.of(&[
                    ("matmul", rank - 1, rank - 1),
                    ("matmul_nt", rank - 1, rank - 2),
                    ("matmul_tn", rank - 2, rank - 1),
                ]);
                let inner = shape[kept];
                let outer = if self.random.chance(8) { self.random.of(&[33, 64, 67]) } else { self.extent() };
                let place = if free == rank - 1 { rank - 2 } else { rank - 1 };
                (shape[place], shape[free]) = (inner, outer);
                let y = self.of_shape(&shape)?;
                let y = self.tame(y, 64.0)?;
                self.op(op, &[x, y], &[])
            }
            "linear" => {
                let x = self.tame_real(1..=5, 64.0)?;
                let inner = *self.known(x).shape.last()?;
                let outer = if self.random.chance(8) { self.random.of(&[33, 64, 67]) } else { self.extent() };
                let mut takes = vec![x, self.of_shape(&[outer, inner])?];
                if self.random.chance(50) {
                    takes.push(self.of_shape(&[outer])?);
                }
                self.op("linear", &takes, &[])
            }
            "scores" => {
                let x = self.tame_real(3..=3, 16.0)?;
                let [batch, _, channels] = self.shape_of(x)?;
                let keys = self.extent();
                let heads = self.random.of(&[1, 2, 4]);
                let k = self.of_shape(&[batch, keys, channels])?;
                let k = self.tame(k, 16.0)?;
                let scores = self.op("attention_scores", &[x, k], &[heads])?;
                if self.random.chance(50) {
                    return Some(scores);
                }
                let width = heads as usize * self.extent();
                let v = self.of_shape(&[batch, keys, width])?;
                self.op("attention_values", &[scores, v], &[])
            }
            "attention" => {
                let heads = self.random.of(&[1, 2, 3]);
                let channels = heads as usize * 4 * (1 + self.random.below(3));
                let [batch, queries, keys] = [self.extent(), self.extent(), self.extent()];
                let mut takes = Vec::new();
                for tokens in [queries, keys, keys] {
                    let x = self.of_shape(&[batch, tokens, channels])?;
                    takes.push(self.tame(x, 4.0)?);
                }
                self.op("attention", &takes, &[heads, 1])
            }
            "layer_norm" => {
                let x = self.tame_real(1..=5, 64.0)?;
                let width = *self.known(x).shape.last()?;
                let takes = [x, self.of_shape(&[width])?, self.of_shape(&[width])?];
                self.op("layer_norm", &takes, &[])
            }
            "batch_norm" => {
                let x = self.tame_real(1..=5, 64.0)?;
                let width = *self.known(x).shape.last()?;
                let statistics = match self.random.below(4) {
                    0 => return self.op("batch_statistics", &[x], &[]),
                    1 => {
                        let given = self.fresh(&[2, width])?;
                        let size = self.op("abs", &[given], &[])?;
                        self.op("offset", &[size], &[1])?
                    }
                    _ => self.op("batch_statistics", &[x], &[])?,
                };
                let takes = [x, statistics, self.of_shape(&[width])?, self.of_shape(&[width])?];
                self.op("batch_norm", &takes, &[])
            }
            "softmax" => {
                let x = self.tame_real(1..=6, 8.0)?;
                let axis = self.axis(self.known(x).shape.len());
                match self.random.below(3) {
                    0 => self.op("softmax", &[x], &[axis]),
                    1 => self.op("log_softmax", &[x], &[axis]),
                    _ => self.op("softmax_scaled", &[x], &[3]),
                }
            }
            "conv2d" => {
                let x = self.tame_real(4..=4, 16.0)?;
                let channels = self.known(x).shape[3];
                let (outputs, kernel) = (self.extent(), 1 + self.random.below(4));
                let weight = self.of_shape(&[outputs, channels, kernel, kernel])?;
                let mut takes = vec![x, self.tame(weight, 16.0)?];
                if self.random.chance(50) {
                    takes.push(self.of_shape(&[outputs])?);
                }
                let numbers = [1 + self.random.below(4) as i64, self.random.below(kernel) as i64];
                let op = self.random.of(&["conv2d", "conv2d_with"]);
                self.op(op, &takes, &numbers)
            }
            "depthwise_conv2d" => {
                let x = self.tame_real(4..=4, 16.0)?;
                let channels = self.known(x).shape[3];
                let kernel = self.random.of(&[3, 5]);
                let weight = self.of_shape(&[channels, 1, kernel, kernel])?;
                let takes = [x, self.tame(weight, 16.0)?, self.of_shape(&[channels])?];
                let (stride, dilation) = match self.random.chance(50) {
                    true => (1 + self.random.below(3), 1),
                    false => (1, 1 + self.random.below(3)),
                };
                let padding = [0; 4].map(|_| self.random.below((kernel - 1) * dilation + 1) as i64);
                self.op("depthwise_conv2d", &takes, &[&[stride as i64, dilation as i64], &padding[..]].concat())
            }
            "resize" => {
                let x = self.tame_real(4..=4, 64.0)?;
                let [height, width] = [0, 1].map(|_| if self.random.chance(5) { 40 } else { self.extent() as i64 });
                let corners = i64::from(self.random.chance(50));
                match self.random.below(5) {
                    0 => self.op("resize", &[x], &[height, width, corners]),
                    1 => self.op("resize_channels_last", &[x], &[height, width, corners]),
                    2 => {
                        let [batch, .., channels]: [usize; 4] = self.shape_of(x)?;
                        let base = self.of_shape(&[batch, height as usize, width as usize, channels])?;
                        self.op("resize_channels_last_onto", &[x, base], &[corners])
                    }
                    choice => {
                        let factor = 1 + self.random.below(18) as i64;
                        let op = if choice == 3 { "resize_by_factor" } else { "resize_channels_last_by_factor" };
                        self.op(op, &[x], &[factor])
                    }
                }
            }
            "box_resize" => {
                let x = self.tame_real(4..=4, 64.0)?;
                let [batch, height, width, _]: [usize; 4] = self.shape_of(x)?;
                let from = self.source(&[batch, 4], Fill::Box, height.min(width).max(1) as i64)?;
                let [rows, columns] = [self.extent() as i64, self.extent() as i64];
                let most = rows.max(columns) + self.random.below(3) as i64;
                let to = self.source(&[batch, 4], Fill::Box, most.max(1))?;
                let corners = i64::from(self.random.chance(50));
                self.op("box_resize", &[x, from, to], &[rows, columns, corners])
            }
            "pixel_loss" => {
                let x = self.tame_real(4..=4, 8.0)?;
                let [batch, channels, height, width]: [usize; 4] = self.shape_of(x)?;
                let same = self.random.chance(50);
                let [rows, columns] = [height, width].map(|extent| if same { extent } else { self.extent() });
                let label = self.source(&[batch, rows, columns], Fill::Label, channels.max(1) as i64)?;
                let op = self.random.of(&["margin_map", "cross_entropy_map"]);
                let first = self.random.below(2) as i64;
                self.op(op, &[x, label], &[first])
            }
            "slots" => {
                let x = self.real(4..=4)?;
                let [batch, channels, _, slots]: [usize; 4] = self.shape_of(x)?;
                let first = self.random.below(2) as i64;
                if self.random.chance(50) {
                    let width = self.extent();
                    let classes = self.source(&[batch, width], Fill::Slots, channels as i64 + 1)?;
                    return self.op("gather_slots", &[x, classes], &[first]);
                }
                let channels = self.extent() as i64;
                let classes = self.source(&[batch, slots], Fill::Slots, channels + 1)?;
                self.op("scatter_slots", &[x, classes], &[channels, first])
            }
            "lookup" => {
                let (batch, entries) = (self.extent(), self.extent());
                let table = self.source(&[batch, entries], Fill::Index, 200)?;
                let rank = self.random.below(3);
                let mut shape = self.shape(rank);
                shape.insert(0, batch);
                let index = self.source(&shape, Fill::Slots, entries as i64 + 1)?;
                self.op("lookup", &[table, index], &[])
            }
            "pixels" => {
                let shape = self.shape(4);
                let words = self.source(&[shape.iter().product::<usize>().div_ceil(4)], Fill::Words, 0)?;
                let table = self.fresh(&[*shape.get(3)?, 256])?;
                self.op("pixels", &[words, table], &integers(&shape))
            }
            "par" => {
                let [batch, height, width] = [self.extent(), self.extent(), self.extent()];
                let image = self.fresh(&[batch, height, width, 3])?;
                let extent = self.source(&[batch, 2], Fill::Extent, height.min(width).max(1) as i64)?;
                let rings: Vec<_> = (0..1 + self.random.below(3)).map(|_| 1 + self.random.below(4) as i64).collect();
                let weights = self.op("par_weights", &[image, extent], &rings)?;
                let slots = 4 * (1 + self.random.below(3));
                let mask = self.of_shape(&[batch, height, width, slots])?;
                let mask = self.tame(mask, 64.0)?;
                let classes = self.source(&[batch, slots], Fill::Slots, 5)?;
                let weights = self.op("detach", &[weights], &[])?;
                self.op("par_step", &[mask, weights, extent, classes], &rings)
            }
            "random" => {
                let key = self.source(&[3], Fill::Words, 0)?;
                let rank = self.random.below(7);
                let shape = self.shape(rank);
                self.op("random", &[key], &integers(&shape))
            }
            "pack" => {
                let mut parts = Vec::new();
                for _ in 0..1 + self.random.below(4) {
                    parts.push(self.real(0..=6)?);
                }
                self.op("pack", &parts, &[])
            }
            "assign" => {
                let state = self.found(|known| known.is_state)?;
                let shape = self.known(state).shape.clone();
                let value = self.of_shape(&shape)?;
                let value = self.storable(state, value)?;
                self.op("assign", &[state, value], &[])
            }
            "write_row" => {
                let [rows, width] = [self.extent(), self.extent()];
                let numbers = [Fill::Reals as i64, 0, rows as i64, width as i64];
                let state = self.op("state", &[], &numbers)?;
                let values = self.of_shape(&[width])?;
                let values = self.tame(values, 64.0)?;
                let row = self.source(&[1], Fill::Slots, rows as i64 + 1)?;
                self.op("write_row", &[state, values, row], &[])
            }
            "flag_nonfinite" => {
                let mut takes = vec![0];
                for _ in 0..1 + self.random.below(3) {
                    takes.push(self.real(0..=6)?);
                }
                takes[0] = self.op("state", &[], &[Fill::Quarters as i64, 0, takes.len() as i64 - 1])?;
                self.op("flag_nonfinite", &takes, &[])
            }
            "optimiser" => {
                let loss = self.tame_real(0..=6, 16.0)?;
                let free = self.optimised.clone();
                let states = self.known.iter().filter(|(_, known)| known.is_state && known.unit.is_none());
                let states = states.map(|(number, _)| *number).filter(|number| !free.contains(number));
                let mut states: Vec<_> = states.collect();
                states.sort_unstable();
                states.truncate(3);
                if states.is_empty() {
                    return None;
                }
                self.optimised.extend(&states);
                let numbers = [i64::from(self.random.chance(50))];
                let op = self.random.of(&["sgd", "adamw"]);
                let takes: Vec<_> = [loss].into_iter().chain(states).collect();
                self.op(op, &takes, &numbers)
            }
            "gradients" => {
                let objective = self.real(0..=6)?;
                let mut takes = vec![objective];
                let pulled = self.random.chance(30);
                if pulled {
                    let shape = self.known(objective).shape.clone();
                    takes.push(self.of_shape(&shape)?);
                }
                let first = takes.len();
                for _ in 0..1 + self.random.below(3) {
                    let sources = self.random.chance(70);
                    let real = |known: &Known| known.is_real && (!sources || known.is_state);
                    let found = self.found(real).or_else(|| self.found(|known| known.is_real))?;
                    if !takes[first..].contains(&found) {
                        takes.push(found);
                    }
                }
                let gives = takes.len() - first;
                if gives == 0 {
                    return None;
                }
                self.line(if pulled { "pull_back" } else { "gradients" }, &takes, &[], gives)
            }
            "hoist" => {
                let x = self.found(|_| true)?;
                self.op("hoist", &[x], &[])
            }
            "constant" => {
                let rank = self.random.below(7);
                let numbers = [vec![3], integers(&self.shape(rank))].concat();
                let op = self.random.of(&["full", "state_filled", "scalar"]);
                self.op(op, &[], &numbers)
            }
            _ => self.wild(),
        }
    }

    /// An op on any operands with any numbers: it is refused, or right.
    fn wild(&mut self) -> Option<usize> {
        let op = self.random.of(WILD);
        let mut takes = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let x = self.found(|_| true)?;
            takes.push(if self.known(x).is_real { self.tame(x, 8.0)? } else { x });
        }
        if ["assign", "write_row", "flag_nonfinite"].contains(&op) && self.known(takes[0]).is_state {
            let &value = takes.get(1)?;
            takes[1] = self.storable(takes[0], value)?;
        }
        if op == "sgd" && takes[1..].iter().any(|&taken| self.known(taken).unit.is_some()) {
            return None;
        }
        let numbers: Vec<_> = (0..self.random.below(7))
            .map(|_| match self.random.below(60) {
                0 => i64::MAX,
                1 => -1,
                2 => 1 << 40,
                3 => 1 << 24,
                other => other as i64 % 8,
            })
            .collect();
        let least = match op {
            "conv2d_with" | "sgd" | "pull_back" => 2,
            _ => 1,
        };
        if takes.len() < least || (op == "arg_max" && self.known(takes[0]).unit.is_none()) {
            return None;
        }
        let gives = match op {
            "gradients" => takes.len() - 1,
            "pull_back" => takes.len().saturating_sub(2),
            _ => 1,
        };
        if gives == 0 { None } else { self.line(op, &takes, &numbers, gives) }
    }

    /// A value that keeps what is known of a state.
    fn storable(&mut self, state: usize, value: usize) -> Option<usize> {
        let (bound, unit) = (self.known(state).bound, self.known(state).unit);
        if unit.is_none() || !self.known(value).is_real {
            return if self.known(value).is_real { self.tame(value, bound) } else { Some(value) };
        }
        if self.known(value).unit.is_none_or(|own| own < unit.unwrap_or(0)) {
            return None;
        }
        if self.known(value).bound <= bound {
            return Some(value);
        }
        let above = self.op("full", &[], &[2 * bound as i64])?;
        let below = self.op("full", &[], &[-2 * bound as i64])?;
        let value = self.op("minimum", &[value, above], &[])?;
        let value = self.op("maximum", &[value, below], &[])?;
        let known = self.known.get_mut(&value)?;
        known.bound = bound;
        Some(value)
    }

    fn shape_of<const N: usize>(&self, number: usize) -> Option<[usize; N]> {
        self.known(number).shape.clone().try_into().ok()
    }

    fn extent_of(&self, number: usize, axis: i64) -> usize {
        let shape = &self.known(number).shape;
        shape[if axis < 0 { axis + shape.len() as i64 } else { axis } as usize]
    }

    /// Another shape of as many elements.
    fn reshaped(&mut self, number: usize) -> Vec<usize> {
        let mut shape = self.known(number).shape.clone();
        for _ in 0..1 + self.random.below(2) {
            match self.random.below(3) {
                0 if shape.len() < 6 => shape.insert(self.random.below(shape.len() + 1), 1),
                1 if shape.len() > 1 => {
                    let at = self.random.below(shape.len() - 1);
                    let extent = shape.remove(at);
                    shape[at] *= extent;
                }
                _ => {
                    let splits = (0..shape.len()).filter(|&at| shape[at] > 3 && shape[at].is_multiple_of(2));
                    let splits: Vec<_> = splits.collect();
                    if !splits.is_empty() && shape.len() < 6 {
                        let at = self.random.of(&splits);
                        shape[at] /= 2;
                        shape.insert(at, 2);
                    }
                }
            }
        }
        shape
    }
}

fn integers(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&size| size as i64).collect()
}

/// The words of a panic.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
