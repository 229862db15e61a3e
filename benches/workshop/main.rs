//! The workshop: the development of two kernels, one idea per step.
//!
//! cargo bench --bench workshop -- [FILTER] [--size N] [--device D] [--json]
//!
//! Every step is a WGSL file in `matmul/` or `softmax/`, whose first line is the idea and its row in the
//! table; the last step is the library's kernel for the device. All of them compute the same
//! from the same operands, are compared with the f64 interpreter, and are timed in turns. Each file is complete, so
//! that the difference between two neighbours is the idea. Rejected ideas are in `docs/rejected.md`.
//!
//! Results on software Vulkan (llvmpipe, LLVM 15, Mesa 22.3.6, two cores; matmul on a quiet machine on
//! 2026-11-23, softmax with other work the day before): milliseconds, and speed-up over the previous step. A graphics
//! card will order them differently.
//!
//! | matmul               | N = 512 |      | N = 1024 |      |
//! |----------------------|--------:|-----:|---------:|-----:|
//! | 1. naive             |     338 |      |     2042 |      |
//! | 2. in workgroups     |     647 | 0.52 |     4951 | 0.43 |
//! | 3. fours             |     119 | 5.44 |     1346 | 3.63 |
//! | 4. 4×4 results       |    48.4 | 2.47 |      678 | 2.30 |
//! | 5. 8×8 results       |    29.2 | 1.67 |      205 | 3.40 |
//! | 6. 16×16 results     |    17.9 | 1.59 |      130 | 1.55 |
//! | 7. strips            |    19.1 | 0.98 |      124 | 1.03 |
//! | 8. by subgroups      |    11.0 | 1.69 |     74.3 | 1.70 |
//! | 9. the library's      |    11.7 | 0.92 |     72.9 | 0.97 |
//!
//! | softmax              | 2048 × 128 |       | 4096 × 256 |      |
//! |----------------------|-----------:|------:|-----------:|-----:|
//! | 1. by trees          |       24.2 |       |       75.7 |      |
//! | 2. alone             |       1.13 | 21.28 |       15.4 | 5.39 |
//! | 3. fours             |       0.70 |  1.61 |       8.20 | 1.87 |
//! | 4. the library's      |       0.72 |  1.03 |       8.00 | 1.04 |

mod steps;

use tagseg::data::Follow;
use tagseg::run::bench::Peak;
use tagseg::run::report::{FileBar, Table};
use tagseg::{Error, Program, Result};

use steps::PROBLEMS;

/// How often every step is timed.
const ROUNDS: usize = 7;

/// A step and what was measured.
#[derive(serde::Serialize)]
struct Row {
    step: &'static str,
    /// Seconds of every round.
    seconds: Vec<f64>,
    /// Additions and multiplications, if they are most of the work.
    operations: u64,
    /// Fewest bytes moved.
    bytes: u64,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn run() -> Result<()> {
    let (mut filter, mut size, mut device, mut json) = (String::new(), "512".to_owned(), "auto".to_owned(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo passes this flag to every bench.
            "--bench" => {}
            "--json" => json = true,
            "--size" => size = arguments.next().unwrap_or(size),
            "--device" => device = arguments.next().unwrap_or(device),
            _ => filter = argument,
        }
    }
    let no_size =
        || Error::config("--size", format!("`{size}` is not a multiple of 64"), "choose one, for example 512");
    let n = size.parse().ok().filter(|n: &usize| *n > 0 && n.is_multiple_of(64)).ok_or_else(no_size)?;
    let chosen: Vec<_> = PROBLEMS.iter().filter(|problem| problem.name.contains(&filter)).collect();
    if chosen.is_empty() {
        let names = PROBLEMS.iter().map(|problem| problem.name).collect::<Vec<_>>().join(" or ");
        return Err(Error::config("FILTER", format!("unknown problem `{filter}`"), format!("choose {names}")));
    }
    let session = tagseg::run::device::open(device.as_str())?;
    if session.is_reference() {
        let remedy = "choose an adapter that `tagseg devices` lists";
        return Err(Error::device("the reference interpreter has no kernels to measure", remedy));
    }
    let peak = Peak::measure(&session)?;
    let mut problems = Vec::new();
    for problem in chosen {
        let [rows, columns] = (problem.shape)(n);
        problems.push((format!("{} of {rows} × {columns}", problem.name), measure(problem.compile(&session, n)?)?));
    }
    if json {
        let problems = problems.iter().map(|(problem, rows)| serde_json::json!({ "problem": problem, "steps": rows }));
        let problems: Vec<_> = problems.collect();
        println!("{}", serde_json::json!({ "device": session.name(), "peak": peak, "problems": problems }));
        return Ok(());
    }
    println!("{}: product {} GFLOP/s, copy {} GB/s", session.name(), giga(peak.operations), giga(peak.bytes));
    for (problem, rows) in &problems {
        print!("\n{}", table(problem, rows, &peak));
    }
    Ok(())
}

/// Times the steps of a problem in turns.
fn measure(mut steps: Vec<(&'static str, Program)>) -> Result<Vec<Row>> {
    let row = |&(step, _): &(&'static str, _)| Row { step, seconds: Vec::new(), operations: 0, bytes: 0 };
    let mut rows: Vec<_> = steps.iter().map(row).collect();
    let bar = FileBar::new();
    bar.begin("runs", ROUNDS * steps.len());
    for round in 0..ROUNDS {
        // Rotate the order, so that no step is first in every round.
        for place in round..round + steps.len() {
            let index = place % steps.len();
            let dispatches = steps[index].1.profile()?;
            rows[index].seconds.push(dispatches.iter().map(|dispatch| dispatch.seconds).sum());
            rows[index].operations = dispatches.iter().map(|dispatch| dispatch.operations).sum();
            rows[index].bytes = dispatches.iter().map(|dispatch| dispatch.traffic).sum();
            bar.file();
        }
    }
    Ok(rows)
}

/// Medians over the rounds: of the time, and of the speed-up over the previous step.
fn table(problem: &str, rows: &[Row], peak: &Peak) -> Table {
    let counted = rows.iter().any(|row| row.operations > 0);
    let unit = if counted { "GFLOP/s" } else { "GB/s" };
    let mut table = Table::new([problem, "ms", unit, "speed-up", "% of probe"]);
    for (index, row) in rows.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| rows[before].seconds.iter());
        let gain = before.map(|before| median(before.zip(&row.seconds).map(|(before, now)| before / now)));
        let seconds = median(row.seconds.iter().copied());
        let (work, most) = if counted { (row.operations, peak.operations) } else { (row.bytes, peak.bytes) };
        let rate = work as f64 / seconds;
        table.row([
            row.step.to_owned(),
            format!("{:.2}", 1e3 * seconds),
            giga(rate),
            gain.map_or("–".to_owned(), |gain| format!("{gain:.2}")),
            format!("{:.1} %", 100.0 * rate / most),
        ]);
    }
    table
}

fn giga(value: f64) -> String {
    format!("{:.2}", 1e-9 * value)
}

/// The median of at least one value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
