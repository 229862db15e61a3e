//! The peak rates of a device, measured with two plain kernels, to which all others are compared.

use std::time::{Duration, Instant};

use crate::engine::graph::{DType, Graph, Tensor};
use crate::engine::session::{Program, Session};
use crate::error::Result;

/// The best rates seen on a device.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Peak {
    /// Arithmetic operations per second, in a product of square matrices.
    pub operations: f64,
    /// Bytes per second, read and written, in a copy.
    pub bytes: f64,
}

/// Elements that are copied: 64 MiB, more than caches hold and less than the binding limit of every device.
const COPIED: usize = 1 << 24;
/// Sides of the matrices; larger ones are tried as long as a product takes at most so many seconds.
const SIDES: [usize; 4] = [512, 1024, 2048, 4096];
const LONGEST: f64 = 0.1;

impl Peak {
    /// Measures both on the device of `session`.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device has no timestamps, or was lost.
    pub fn measure(session: &Session) -> Result<Self> {
        let graph = Graph::new();
        let x = graph.input("x", [COPIED], DType::F32);
        let seconds = best_time(session, &x.scale(1.0)?, &[&x])?;
        let bytes = (8 * COPIED) as f64 / seconds;
        let mut operations: f64 = 0.0;
        for side in SIDES {
            let graph = Graph::new();
            let [a, b] = ["a", "b"].map(|name| graph.input(name, [side, side], DType::F32));
            let seconds = best_time(session, &a.matmul(&b)?, &[&a, &b])?;
            operations = operations.max(2.0 * (side as f64).powi(3) / seconds);
            if seconds > LONGEST {
                break;
            }
        }
        Ok(Peak { operations, bytes })
    }
}

/// The shortest device time in which `output` is computed.
fn best_time(session: &Session, output: &Tensor, inputs: &[&Tensor]) -> Result<f64> {
    let mut program = session.compile(output.graph(), &[output])?;
    for input in inputs {
        program.write(input, &vec![0.5_f32; input.shape().len()])?;
    }
    Ok(sorted_times(&mut program)?[0])
}

/// Median device time of a program whose inputs are written.
///
/// # Errors
/// As [`Program::profile`].
pub fn median_time(program: &mut Program) -> Result<f64> {
    sorted_times(program).map(|times| times[times.len() / 2])
}

/// Device times of several runs after a warm-up run, the shortest first.
fn sorted_times(program: &mut Program) -> Result<Vec<f64>> {
    const RUNS: usize = 5;
    const LONG_ENOUGH: Duration = Duration::from_millis(300);
    program.profile()?;
    let start = Instant::now();
    let mut times: Vec<f64> = Vec::new();
    while times.len() < RUNS || start.elapsed() < LONG_ENOUGH {
        times.push(program.profile()?.iter().map(|dispatch| dispatch.seconds).sum());
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
