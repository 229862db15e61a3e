//! Records the lines of a program: what each op is called, and what its numbers mean.

use std::collections::HashMap;

use tagseg::engine::graph::{DType, Graph, Storage, Tensor};
use tagseg::engine::kernel::Packing;
use tagseg::engine::ops::adamw::{Constants, Trained, adamw};
use tagseg::engine::ops::attention::Heads;
use tagseg::engine::ops::conv2d::{Padding, Taps};
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ops::par::Par;
use tagseg::engine::ops::random::random_uniform;
use tagseg::engine::optim::{AdamW, Optimiser, Sgd};
use tagseg::{Error, Result};

use super::program::{Line, Program};
use super::random::{mix, unit};

/// What a source holds. The first two numbers of its line are this and a bound, the others its extents.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(i64)]
pub enum Fill {
    /// Quarters in [-2, 2]: sums and products of few of them are exact.
    Quarters,
    /// Reals in [-1.5, 1.5].
    Reals,
    /// Integers in [0, n).
    Index,
    /// Integers in [0, n), every fifth of them 255.
    Label,
    /// Any integers of 32 bits.
    Words,
    /// Integers in [-1, n).
    Slots,
    /// Integers in [1, n].
    Extent,
    /// Rectangles (y, x, height, width) within a square of n.
    Box,
    /// Tenths in [-1.5, 1.5], which f32 rounds.
    Tenths,
}

const FILLS: [Fill; 9] = [
    Fill::Quarters,
    Fill::Reals,
    Fill::Index,
    Fill::Label,
    Fill::Words,
    Fill::Slots,
    Fill::Extent,
    Fill::Box,
    Fill::Tenths,
];

impl Fill {
    pub fn is_real(self) -> bool {
        matches!(self, Fill::Quarters | Fill::Reals | Fill::Tenths)
    }

    fn value(self, n: i64, seed: u64, index: usize) -> f64 {
        let u = unit(seed, index);
        let below = |n: i64| ((0.5 + 0.5 * u) * n as f64).floor();
        match self {
            Fill::Quarters => (8.0 * u).round() / 4.0,
            Fill::Tenths => (15.0 * u).round() / 10.0,
            Fill::Reals => f64::from((1.5 * u) as f32),
            Fill::Index => below(n),
            Fill::Label if index % 5 == 3 => 255.0,
            Fill::Label => below(n),
            Fill::Words => f64::from((u * 2f64.powi(31)) as i32),
            Fill::Slots => below(n + 1) - 1.0,
            Fill::Extent => below(n) + 1.0,
            // Sides first: what is left is where it may begin.
            Fill::Box => {
                let side = (0.5 + 0.5 * unit(seed, index / 4 * 4 + 2 + index % 2)) * n as f64;
                let side = side.floor() + 1.0;
                if index % 4 < 2 { ((0.5 + 0.5 * u) * (n as f64 - side + 1.0)).floor() } else { side }
            }
        }
    }

    /// The values of a source.
    pub fn values(self, n: i64, seed: u64, count: usize) -> Vec<f64> {
        (0..count).map(|index| self.value(n, seed, index)).collect()
    }
}

/// An input or a state of a recorded program.
pub struct Source {
    pub number: usize,
    pub tensor: Tensor,
    pub fill: Fill,
    pub bound: i64,
}

/// Multiplies results by 1 + noise, to measure how much rounding may change.
#[derive(Clone, Copy)]
pub struct Noise {
    pub seed: u64,
}

/// A program while it is recorded.
pub struct Recorder {
    pub graph: Graph,
    pub inputs: Vec<Source>,
    pub states: Vec<Source>,
    pub optimisers: Vec<Optimiser>,
    seed: u64,
    noise: Option<Noise>,
    /// What ops read.
    tensors: HashMap<usize, Tensor>,
    /// What updates and gradients name: a state is not multiplied there.
    plain: HashMap<usize, Tensor>,
    taps: HashMap<usize, Taps>,
}

/// How much noise changes a value that is stored in f32, and in half precision: a few roundings.
const NOISE: f64 = 1.0 / (1 << 21) as f64;
const HALF_NOISE: f64 = 1.0 / (1 << 10) as f64;

/// What cannot be recorded since a tensor is missing, as happens to shortened programs.
pub const MISSING: &str = "is not there";

fn missing(number: usize) -> Error {
    Error::Graph(format!("%{number} {MISSING}"))
}

fn sizes(numbers: &[i64]) -> Vec<usize> {
    numbers.iter().map(|&number| number as usize).collect()
}

fn axes(numbers: &[i64]) -> Vec<isize> {
    numbers.iter().map(|&number| number as isize).collect()
}

/// A tenth of the number.
fn tenths(number: i64) -> f64 {
    number as f64 / 10.0
}

/// The zeros around an image: those of all sides, or of each.
fn padding(numbers: &[i64]) -> Padding {
    match sizes(numbers)[..] {
        [above, left, below, right, ..] => Padding { before: [above, left], after: [below, right] },
        [all, ..] => all.into(),
        [] => Padding::default(),
    }
}

/// A factor: the first number, in parts of the second, or in sevenths.
fn factor(numbers: &[i64]) -> f64 {
    numbers.first().map_or(0.0, |&parts| parts as f64) / numbers.get(1).map_or(7.0, |&whole| whole as f64)
}

/// Half the number, so that lines hold integers.
fn halves(number: i64) -> f64 {
    number as f64 / 2.0
}

impl Recorder {
    pub fn new(seed: u64, noise: Option<Noise>) -> Self {
        Recorder {
            graph: Graph::new(),
            inputs: Vec::new(),
            states: Vec::new(),
            optimisers: Vec::new(),
            seed,
            noise,
            tensors: HashMap::new(),
            plain: HashMap::new(),
            taps: HashMap::new(),
        }
    }

    /// Records all lines; `exact` are the tensors that rounding does not change.
    pub fn of(program: &Program, noise: Option<Noise>, exact: &dyn Fn(usize) -> bool) -> Result<Recorder> {
        let mut recorder = Recorder::new(program.seed, noise);
        for line in &program.lines {
            recorder.line(line, exact)?;
        }
        Ok(recorder)
    }

    pub fn tensor(&self, number: usize) -> Result<&Tensor> {
        self.tensors.get(&number).ok_or_else(|| missing(number))
    }

    /// Records a line.
    pub fn line(&mut self, line: &Line, exact: &dyn Fn(usize) -> bool) -> Result<()> {
        let storage = if line.half { Storage::Half } else { Storage::Whole };
        let graph = self.graph.clone();
        let held = self.perturb(line, exact)?;
        let given = match self.rounds_weight(line, exact) {
            true => graph.without_gradient(|| graph.stored(storage, || self.record(line)))?,
            false => graph.stored(storage, || self.record(line))?,
        };
        self.tensors.extend(held);
        for (&number, tensor) in line.gives.iter().zip(given) {
            self.plain.insert(number, tensor.clone());
            let size = if line.half { HALF_NOISE } else { NOISE };
            let seen = if exact(number) { tensor } else { self.noisy(&tensor, number, size)? };
            self.tensors.insert(number, seen);
        }
        Ok(())
    }

    /// Adds noise to the exact tensors that a line reads, if its results are rounded: rounding within an op acts like noise on
    /// its operands, and decides the sign of a sum that cancels. Returns these tensors without noise, to be put back.
    fn perturb(&mut self, line: &Line, exact: &dyn Fn(usize) -> bool) -> Result<HashMap<usize, Tensor>> {
        let only_stores = ["assign", "write_row"].contains(&line.op.as_str());
        if self.noise.is_none() || only_stores || line.gives.iter().all(|&number| exact(number)) {
            return Ok(HashMap::new());
        }
        // Several lines share the taps.
        let is_shared = |at: usize| line.op == "conv2d_with" && at == 1;
        let taken = line.takes.iter().enumerate().filter(|&(at, &number)| exact(number) && !is_shared(at));
        let held = taken.map(|(_, &number)| Ok((number, self.tensor(number)?.clone())));
        let held: HashMap<_, _> = held.collect::<Result<_>>()?;
        for (&number, tensor) in &held {
            let noisy = self.noisy(tensor, number, NOISE)?;
            self.tensors.insert(number, noisy);
        }
        Ok(held)
    }

    /// A real tensor times 1 + noise, if there is noise.
    fn noisy(&self, tensor: &Tensor, number: usize, size: f64) -> Result<Tensor> {
        let Some(noise) = self.noise.filter(|_| tensor.dtype() == DType::F32) else { return Ok(tensor.clone()) };
        let seed = mix(noise.seed ^ number as u64);
        let factors = (0..tensor.shape().len()).map(|index| 1.0 + size * unit(seed, index));
        tensor.mul(&self.graph.constant(&factors.collect::<Vec<_>>(), tensor.shape().clone()))
    }

    /// Whether a product is recorded without gradient, so that its weight is rounded to half precision, too: half of
    /// those that may be, where the device and the interpreter round the same weight.
    fn rounds_weight(&self, line: &Line, exact: &dyn Fn(usize) -> bool) -> bool {
        let is_product = ["linear", "conv2d", "conv2d_with"].contains(&line.op.as_str());
        line.half
            && is_product
            && line.gives[0].is_multiple_of(2)
            && line.takes.get(1).is_some_and(|&weight| exact(weight))
    }

    fn source(&mut self, line: &Line) -> Result<Vec<Tensor>> {
        let (&[fill, bound], extents) = line.numbers.split_first_chunk().ok_or_else(|| missing(line.gives[0]))?;
        let (fill, extents, number) = (FILLS[fill as usize % FILLS.len()], sizes(extents), line.gives[0]);
        let dtype = if fill.is_real() { DType::F32 } else { DType::I32 };
        let tensor = match line.op.as_str() {
            "input" => self.graph.input(&format!("x{number}"), extents, dtype),
            "state" => self.graph.state(&format!("s{number}"), extents),
            _ => {
                let count = extents.iter().product();
                self.graph.constant(&fill.values(bound, mix(self.seed ^ number as u64), count), extents)
            }
        };
        let source = Source { number, tensor: tensor.clone(), fill, bound };
        match line.op.as_str() {
            "input" => self.inputs.push(source),
            "state" => self.states.push(source),
            _ => {}
        }
        Ok(vec![tensor])
    }

    fn record(&mut self, line: &Line) -> Result<Vec<Tensor>> {
        let graph = self.graph.clone();
        let n = &line.numbers[..];
        let number = |index: usize| n.get(index).copied().unwrap_or(0);
        let size = |index: usize| number(index) as usize;
        let axis = |index: usize| number(index) as isize;
        let all = |map: &HashMap<usize, Tensor>| -> Result<Vec<Tensor>> {
            line.takes.iter().map(|number| map.get(number).cloned().ok_or_else(|| missing(*number))).collect()
        };
        let (seen, plain) = (all(&self.tensors)?, all(&self.plain)?);
        let absent = || missing(usize::MAX);
        let x = |index: usize| seen.get(index).ok_or_else(absent);
        let raw = |index: usize| plain.get(index).ok_or_else(absent);
        let one = |tensor: Result<Tensor>| tensor.map(|tensor| vec![tensor]);
        let op = line.op.as_str();
        one(match op {
            "input" | "state" | "constant" => return self.source(line),
            "state_filled" => {
                let tensor = graph.state_filled(&format!("s{}", line.gives[0]), sizes(&n[1..]), number(0) as f64);
                let source =
                    Source { number: line.gives[0], tensor: tensor.clone(), fill: Fill::Quarters, bound: i64::MAX };
                self.states.push(source);
                Ok(tensor)
            }
            "full" => graph.full(halves(number(0)), sizes(&n[1..])),
            "full_of_tenths" => graph.full(tenths(number(0)), sizes(&n[1..])),
            "scalar" => Ok(graph.scalar(halves(number(0)))),
            "neg" => x(0)?.neg(),
            "exp" => x(0)?.exp(),
            "log" => x(0)?.log(),
            "sqrt" => x(0)?.sqrt(),
            "abs" => x(0)?.abs(),
            "trunc" => x(0)?.trunc(),
            "to_integer" => x(0)?.to_integer(),
            "to_real" => x(0)?.to_real(),
            "relu" => x(0)?.relu(),
            "relu6" => x(0)?.relu6(),
            "sigmoid" => x(0)?.sigmoid(),
            "log_sigmoid" => x(0)?.log_sigmoid(),
            "gelu" => x(0)?.gelu(),
            "finite" => x(0)?.finite(),
            "add" => x(0)?.add(x(1)?),
            "sub" => x(0)?.sub(x(1)?),
            "mul" => x(0)?.mul(x(1)?),
            "div" => x(0)?.div(x(1)?),
            "maximum" => x(0)?.maximum(x(1)?),
            "minimum" => x(0)?.minimum(x(1)?),
            "equal" => x(0)?.equal(x(1)?),
            "greater" => x(0)?.greater(x(1)?),
            "at_least" => x(0)?.at_least(x(1)?),
            "select" => x(0)?.select(x(1)?, x(2)?),
            "plus" => x(0)? + x(1)?,
            "minus" => x(0)? - x(1)?,
            "times" => x(0)? * x(1)?,
            "over" => x(0)? / x(1)?,
            "plus_number" => x(0)? + tenths(number(0)),
            "times_number" => x(0)? * tenths(number(0)),
            "over_number" => x(0)? / tenths(number(0)),
            "number_over" => tenths(number(0)) / x(0)?,
            "minus_from" => halves(number(0)) - x(0)?,
            "negative" => {
                let x: &Tensor = x(0)?;
                -x
            }
            "scale" => x(0)?.scale(number(0) as f64 * 2f64.powi(number(1) as i32)),
            "offset" => x(0)?.offset(halves(number(0))),
            "expand" => x(0)?.expand(sizes(n)),
            "sum" => x(0)?.sum(&axes(n)[..]),
            "sum_keep" => x(0)?.sum_keep(&axes(n)[..]),
            "sum_all_axes" => x(0)?.sum(..),
            "max" => x(0)?.max(&axes(n)[..]),
            "max_keep" => x(0)?.max_keep(&axes(n)[..]),
            "min" => x(0)?.min(&axes(n)[..]),
            "min_keep" => x(0)?.min_keep(&axes(n)[..]),
            "mean" => x(0)?.mean(&axes(n)[..]),
            "mean_keep" => x(0)?.mean_keep(&axes(n)[..]),
            "sum_all" => x(0)?.sum_all(),
            "mean_all" => x(0)?.mean_all(),
            "arg_max" => x(0)?.arg_max(axis(0)),
            "arg_max_keep" => x(0)?.arg_max_keep(axis(0)),
            "permute" => x(0)?.permute(&axes(n)),
            "slice" => x(0)?.slice(axis(0), size(1)..size(2)),
            "pad" => x(0)?.pad(axis(0), size(1), size(2)),
            "flip" => x(0)?.flip(axis(0)),
            "concat" => Tensor::concat(&seen.iter().collect::<Vec<_>>(), axis(0)),
            "reshape" => x(0)?.reshape(sizes(n)),
            "detach" => x(0)?.detach(),
            "matmul" => x(0)?.matmul(x(1)?),
            "matmul_nt" => x(0)?.matmul_nt(x(1)?),
            "matmul_tn" => x(0)?.matmul_tn(x(1)?),
            "linear" => x(0)?.linear(x(1)?, seen.get(2)),
            "attention_scores" => x(0)?.attention_scores(x(1)?, size(0)),
            "attention_values" => x(0)?.attention_values(x(1)?),
            "attention" => x(0)?.attention(x(1)?, x(2)?, Heads { count: size(0), scale: halves(number(1)) }),
            "layer_norm" => x(0)?.layer_norm(x(1)?, x(2)?, 0.01),
            "batch_statistics" => x(0)?.batch_statistics(),
            "batch_norm" => x(0)?.batch_norm(x(1)?, x(2)?, x(3)?, 0.01),
            "softmax" => x(0)?.softmax(axis(0)),
            "softmax_scaled" => x(0)?.softmax_scaled(halves(number(0))),
            "log_softmax" => x(0)?.log_softmax(axis(0)),
            "conv2d" => x(0)?.conv2d(x(1)?, seen.get(2), size(0), padding(n.get(1..).unwrap_or(&[]))),
            "conv2d_with" => {
                let taps = self.taps.entry(line.takes[1]).or_insert(Taps::new(x(1)?));
                x(0)?.conv2d_with(taps, seen.get(2), size(0), padding(n.get(1..).unwrap_or(&[])))
            }
            "depthwise_conv2d" => {
                let padding = Padding { before: [size(2), size(3)], after: [size(4), size(5)] };
                x(0)?.depthwise_conv2d(x(1)?, x(2)?, size(0), size(1), padding)
            }
            "resize" => x(0)?.resize([size(0), size(1)], number(2) != 0),
            "resize_by_factor" => x(0)?.resize_by_factor(factor(n)),
            "resize_channels_last" => x(0)?.resize_channels_last([size(0), size(1)], number(2) != 0),
            "resize_channels_last_by_factor" => x(0)?.resize_channels_last_by_factor(factor(n)),
            "resize_channels_last_onto" => x(0)?.resize_channels_last_onto(x(1)?, number(0) != 0),
            "box_resize" => x(0)?.box_resize(x(1)?, x(2)?, [size(0), size(1)], number(2) != 0),
            "margin_map" => x(0)?.margin_map(x(1)?, size(0)),
            "cross_entropy_map" => x(0)?.cross_entropy_map(x(1)?, size(0)),
            "pixels" => match <[usize; 4]>::try_from(sizes(n)) {
                Ok(shape) => x(0)?.pixels(shape, x(1)?),
                Err(_) => Err(absent()),
            },
            "lookup" => x(0)?.lookup(x(1)?),
            "gather_slots" => x(0)?.gather_slots(x(1)?, size(0)),
            "scatter_slots" => x(0)?.scatter_slots(x(1)?, size(0), size(1)),
            "par_weights" => x(0)?.par_weights(x(1)?, &Par { dilations: sizes(n), w1: 0.5, w2: 0.25 }),
            "par_step" => x(0)?.par_step(x(1)?, x(2)?, x(3)?, &sizes(n)),
            "random" => random_uniform(x(0)?, sizes(n)),
            "hoist" => {
                x(0)?.hoist();
                Ok(x(0)?.clone())
            }
            // Tensors one behind the other, put together again without what lies between them.
            "pack" => {
                let starts = Packing::of(seen.iter().map(|tensor| tensor.shape().len())).starts;
                let packed = Packed::new(&seen)?;
                let Some(&values) = packed.values().first() else { return Err(absent()) };
                let parts = seen.iter().zip(starts);
                let parts = parts.map(|(tensor, start)| match tensor.shape().len() {
                    0 => tensor.reshape([0]),
                    len => values.slice(0, start..start + len),
                });
                Tensor::concat(&parts.collect::<Result<Vec<_>>>()?.iter().collect::<Vec<_>>(), 0)
            }
            "assign" => raw(0)?.assign(x(1)?),
            "write_row" => raw(0)?.write_row(x(1)?, x(2)?),
            "flag_nonfinite" => raw(0)?.flag_nonfinite(&Packed::new(&seen[1..])?).and(Ok(raw(0)?.clone())),
            // The first is reduced to a number, weighted so that no gradient is like another.
            "gradients" => return graph.gradients(&self.objective(line, x(0)?)?, &plain[1..]),
            "pull_back" => return graph.pull_back(&[(x(0)?.clone(), x(1)?.clone())], &plain[2..]),
            "sgd" | "adamw" => {
                let objective = self.objective(line, x(0)?)?;
                let optimiser = match op {
                    "sgd" => Sgd::new(0.1).momentum(halves(number(0))).weight_decay(0.1).step(&objective, &plain[1..]),
                    _ => AdamW::new(0.1).weight_decay(0.1).eps(0.1).step(&objective, &plain[1..]),
                };
                self.optimisers.push(optimiser?);
                Ok(plain[1].clone())
            }
            // Parameter, first and second moment, gradient.
            "adamw_op" => {
                let trained = Trained { param: raw(0)?.clone(), m: raw(1)?.clone(), v: raw(2)?.clone(), group: 0 };
                let mut constants = Constants::default();
                constants.eps = 0.1;
                let hyper = graph.constant(&constants.hyper(0.1, 0.1, 1).map(f64::from), [1, 4]);
                adamw(constants, &[trained], &Packed::new(&seen[3..4])?, &hyper, seen.get(4)).and(Ok(raw(0)?.clone()))
            }
            other => panic!("no op is called {other}"),
        })
    }

    fn objective(&self, line: &Line, x: &Tensor) -> Result<Tensor> {
        let seed = mix(self.seed ^ line.takes[0] as u64 ^ 0xC07A);
        let weights = Fill::Quarters.values(0, seed, x.shape().len());
        x.mul(&self.graph.constant(&weights, x.shape().clone()))?.sum_all()
    }
}
