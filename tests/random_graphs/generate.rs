//! Draws programs: ops on tensors that are there, and sources of the shapes that an op needs.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tagseg::engine::graph::DType;

use super::exact::{self, Known};
use super::program::{Line, Program};
use super::random::Random;
use super::record::{Fill, Recorder};

mod draw;
mod names;
mod products;
mod training;

/// Elements of a tensor at most, but for a few, in most programs.
const ELEMENTS: usize = 2048;

/// The same in a program of wide tensors.
const WIDE: usize = 32_768;

/// Sides of matrices that fill tiles of kernels, or exceed them.
const TILES: [usize; 8] = [31, 33, 48, 64, 65, 100, 129, 200];

/// Elements that the interpreter computes in no time.
const LARGEST: usize = 200_000;

/// Multiplications of a product that it computes in no time.
const MULTIPLICATIONS: f64 = 1e7;

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
    /// How often an extent is about the side of a tile or more, in hundredths.
    wide: usize,
    /// What is drawn more often than in other programs.
    favourite: Option<&'static str>,
    half: bool,
    optimised: Vec<usize>,
    panicked: Option<String>,
}

/// The program of a seed.
pub fn generate(seed: u64, targets: usize) -> Result<Program, Panicked> {
    let mut random = Random::new(seed);
    let empty = if random.chance(30) { 12 } else { 0 };
    let half = random.chance(15);
    let wide = if random.chance(8) { 30 } else { 0 };
    let favourite = random.chance(60).then(|| Generator::favourite(&mut random));
    let mut generator = Generator {
        recorder: Recorder::new(seed, None),
        program: Program { seed, ..Program::default() },
        known: HashMap::new(),
        next: 0,
        empty,
        wide,
        favourite,
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
    for _ in 0..generator.random.below(3) {
        if generator.panicked.is_none() {
            generator.gradients();
        }
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
        let any = random.chance(50);
        self.program.target = random.below(if any { targets } else { 3 });
        // Only gradients compute again what does not fit.
        let gradients = self.program.lines.iter().any(|line| ["gradients", "pull_back"].contains(&line.op.as_str()));
        self.program.limit = random.chance(if gradients { 60 } else { 10 }).then(|| 40 + random.below(60) as u64);
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
        let (recorder, known) = (&mut self.recorder, &self.known);
        let exact = |number: usize| known.get(&number).is_some_and(Known::is_exact);
        let recorded = catch_unwind(AssertUnwindSafe(|| recorder.line(&line, &exact)));
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
        let takes: Vec<_> = line.takes.iter().map(|taken| &self.known[taken]).collect();
        let results = line.gives.iter().map(len).sum::<usize>() as f64;
        if exact::terms(&line.op, &takes).is_some_and(|terms| results * terms > MULTIPLICATIONS) {
            return None;
        }
        let of = |number: usize| {
            let tensor = self.recorder.tensor(number).ok()?;
            let shape = tensor.shape().to_vec();
            let (bound, unit) = exact::of(&line, &takes, &shape);
            let known = Known {
                is_real: tensor.dtype() == DType::F32,
                is_state: tensor.is_state() && line.op.starts_with("state"),
                is_source: line.takes.is_empty(),
                is_value: !["assign", "write_row", "flag_nonfinite", "sgd", "adamw", "adamw_op"].contains(&op),
                bound,
                unit,
                shape,
            };
            Some((number, known))
        };
        let known: Vec<_> = line.gives.iter().filter_map(|&number| of(number)).collect();
        self.known.extend(known);
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
            _ if self.wide > 0 && self.random.chance(self.wide) => self.random.of(&TILES),
            0..20 => 1,
            20..50 => 4,
            _ => 2 + self.random.below(8),
        }
    }

    /// Elements of a tensor at most, but for a few.
    fn elements(&self) -> usize {
        if self.wide > 0 { WIDE } else { ELEMENTS }
    }

    fn shape(&mut self, rank: usize) -> Vec<usize> {
        loop {
            if rank > 0 && self.random.chance(3) {
                return self.long_shape(rank);
            }
            let shape: Vec<_> = (0..rank).map(|_| self.extent()).collect();
            if shape.iter().product::<usize>() <= self.elements() {
                return shape;
            }
        }
    }

    /// A shape with one long axis.
    fn long_shape(&mut self, rank: usize) -> Vec<usize> {
        let mut shape = vec![1; rank];
        shape[0] = 1 + self.random.below(3);
        let place = self.random.below(rank);
        shape[place] = self.random.of(&[64, 65, 129, 257, 1030, 4099, 33_001, 66_000, 70_001, 140_002]);
        shape
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
        let fill = match self.random.below(20) {
            0..10 => Fill::Quarters,
            10..12 => Fill::Tenths,
            _ => Fill::Reals,
        };
        self.source(shape, fill, 0)
    }

    fn found(&mut self, fits: impl Fn(&Known) -> bool) -> Option<usize> {
        self.found_among(|_, known| fits(known))
    }

    fn found_among(&mut self, fits: impl Fn(usize, &Known) -> bool) -> Option<usize> {
        let found = self.known.iter().filter(|(number, known)| known.is_value && fits(**number, known));
        let mut found: Vec<_> = found.map(|(number, _)| *number).collect();
        found.sort_unstable();
        // The last results more often than what they are made of.
        if self.random.chance(60) {
            let results: Vec<_> = found.iter().copied().filter(|number| !self.known[number].is_source).collect();
            let last = if results.is_empty() { &found } else { &results };
            found = last[last.len().saturating_sub(3)..].to_vec();
        }
        (!found.is_empty()).then(|| self.random.of(&found))
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
        axes.iter_mut().filter(|_| self.random.chance(20)).for_each(|axis| *axis -= rank as i64);
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
