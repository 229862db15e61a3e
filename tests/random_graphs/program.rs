//! A graph as text that a person can read and a test can keep: a line an op.
//!
//! ```text
//! seed 7
//! %0 = state (1 0 2 3)
//! %1 = sum_keep %0 (0) half
//! read %1
//! ```

use std::fmt;

/// One op: what it gives, what it takes, and its numbers (see `record.rs`).
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Numbers of the tensors that it gives.
    pub gives: Vec<usize>,
    pub op: String,
    /// Numbers of the tensors that it takes.
    pub takes: Vec<usize>,
    pub numbers: Vec<i64>,
    /// Whether its results may be stored in half precision.
    pub half: bool,
}

/// A graph, what is read of it, and how it is run.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Program {
    /// The values of sources follow from it.
    pub seed: u64,
    /// The kernels, as a number among all choices.
    pub target: usize,
    /// The memory that a plan may take, in hundredths of what it takes without a limit.
    pub limit: Option<u64>,
    pub lines: Vec<Line>,
    /// The outputs of each program that is compiled from the graph.
    pub reads: Vec<Vec<usize>>,
}

fn listed(f: &mut fmt::Formatter<'_>, numbers: &[usize]) -> fmt::Result {
    numbers.iter().try_for_each(|number| write!(f, " %{number}"))
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        if self.target > 0 {
            writeln!(f, "target {}", self.target)?;
        }
        if let Some(limit) = self.limit {
            writeln!(f, "limit {limit}")?;
        }
        for Line { gives, op, takes, numbers, half } in &self.lines {
            let gives: Vec<_> = gives.iter().map(|number| format!("%{number}")).collect();
            write!(f, "{} = {op}", gives.join(" "))?;
            listed(f, takes)?;
            if !numbers.is_empty() {
                let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
                write!(f, " ({})", numbers.join(" "))?;
            }
            writeln!(f, "{}", if *half { " half" } else { "" })?;
        }
        for outputs in &self.reads {
            write!(f, "read")?;
            listed(f, outputs)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Program {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Program {
        let mut program = Program::default();
        let tensors = |text: &str| -> Vec<usize> {
            text.split_whitespace().filter_map(|word| word.strip_prefix('%')).map(|n| n.parse().unwrap()).collect()
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let number = |text: &str| text.trim().parse::<u64>().unwrap();
            if let Some((gives, rest)) = line.split_once(" = ") {
                let (before, after) = rest.split_once('(').unwrap_or((rest, ""));
                let (numbers, end) = after.split_once(')').unwrap_or(("", before));
                program.lines.push(Line {
                    gives: tensors(gives),
                    op: before.split_whitespace().next().unwrap().to_owned(),
                    takes: tensors(before),
                    numbers: numbers.split_whitespace().map(|number| number.parse().unwrap()).collect(),
                    half: end.trim_end().ends_with(" half"),
                });
            } else if let Some(rest) = line.strip_prefix("seed") {
                program.seed = number(rest);
            } else if let Some(rest) = line.strip_prefix("target") {
                program.target = number(rest) as usize;
            } else if let Some(rest) = line.strip_prefix("limit") {
                program.limit = Some(number(rest));
            } else {
                program.reads.push(tensors(line.strip_prefix("read").expect(line)));
            }
        }
        program
    }
}
