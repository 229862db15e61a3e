//! The rates of a device, measured with two plain kernels: its peak, to which all others are compared, and the pace by
//! which long launches are cut.

use std::time::{Duration, Instant};

use super::graph::{DType, Graph, Tensor};
use super::kernel::{Class, Pace, Target};
use super::session::{Program, Session};
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
/// Side of the matrices by which the pace is measured: 2 ms at the default pace.
const SIDE: usize = 1024;

impl Peak {
    /// Measures both on the device of `session`.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device has no timestamps, or was lost.
    pub fn measure(session: &Session) -> Result<Self> {
        let bytes = (8 * COPIED) as f64 / sorted_times(&mut copy(session)?)?[0];
        let mut operations: f64 = 0.0;
        for side in SIDES {
            let seconds = sorted_times(&mut product(session, side)?)?[0];
            operations = operations.max(2.0 * (side as f64).powi(3) / seconds);
            if seconds > LONGEST {
                break;
            }
        }
        Ok(Peak { operations, bytes })
    }
}

/// The same session, whose programs take long launches apart by the rates that its device has by the clock, if these are
/// lower than [`Pace::default`]. A software device, with which nothing draws, is not measured.
///
/// # Errors
/// [`crate::error::Error::Device`] if the device was lost.
pub fn paced(session: Session) -> Result<Session> {
    let is_card = session.device().is_some_and(|device| device.class() == Class::Gpu);
    let Some(target) = session.target().filter(|_| is_card) else { return Ok(session) };
    let pace = pace(&session)?.at_most(target.pace);
    Ok(session.aimed_at(Target { pace, ..target }))
}

/// The rates of a device by the clock, which includes the time of a submission.
fn pace(session: &Session) -> Result<Pace> {
    let shortest = |mut program: Program| -> Result<f64> {
        let mut best = f64::INFINITY;
        // The driver compiles the kernel in the first run.
        for _ in 0..3 {
            let start = Instant::now();
            program.run()?;
            session.wait()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    let bytes = (8 * COPIED) as f64 / shortest(copy(session)?)?;
    let operations = 2.0 * (SIDE as f64).powi(3) / shortest(product(session, SIDE)?)?;
    Ok(Pace { operations: operations as u64, bytes: bytes as u64 })
}

/// A copy of [`COPIED`] elements.
fn copy(session: &Session) -> Result<Program> {
    let x = Graph::new().input("x", [COPIED], DType::F32);
    compiled(session, &x.scale(1.0)?, &[&x])
}

/// A product of square matrices.
fn product(session: &Session, side: usize) -> Result<Program> {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, [side, side], DType::F32));
    compiled(session, &a.matmul(&b)?, &[&a, &b])
}

/// The program of `output`, with written inputs.
fn compiled(session: &Session, output: &Tensor, inputs: &[&Tensor]) -> Result<Program> {
    let mut program = session.compile(output.graph(), &[output])?;
    for input in inputs {
        program.write(input, &vec![0.5_f32; input.shape().len()])?;
    }
    Ok(program)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the pace of a device is measured, and one that is slow gets shorter dispatches, which compute the same bits.
    #[test]
    fn a_slow_device_gets_shorter_dispatches_and_the_same_bits() {
        let session = Session::open("auto").unwrap();
        let measured = pace(&session).unwrap();
        println!("{measured:?}");
        assert!(measured.operations > 10_000_000 && measured.bytes > 10_000_000, "{measured:?}");

        let graph = Graph::new();
        let [a, b] = [("a", [130, 70]), ("b", [70, 150])].map(|(name, shape)| graph.input(name, shape, DType::F32));
        let outputs = [a.matmul(&b).unwrap(), a.exp().unwrap()];
        let outputs: Vec<_> = outputs.iter().collect();
        let run = |pace: Pace| {
            let target = Target { pace, ..session.target().unwrap() };
            let session = session.clone().aimed_at(target);
            let plan = session.plan(&graph, &outputs).unwrap().unwrap();
            let mut program = session.compile(&graph, &outputs).unwrap();
            for input in [&a, &b] {
                let values: Vec<_> = (0..input.shape().len()).map(|index| (index as f32 * 0.7).sin()).collect();
                program.write(input, &values).unwrap();
            }
            program.run().unwrap();
            let bits = outputs.iter().map(|output| program.read(output).unwrap()).collect::<Vec<_>>();
            (plan.dispatches(), bits)
        };
        let ((whole, want), (pieces, got)) =
            (run(Pace::default()), run(Pace { operations: 4_000_000, bytes: 400_000 }));
        assert!(pieces >= whole + 2, "{pieces} dispatches for {whole}");
        assert!(got == want);
    }
}
