//! tagseg compared with other engines: the same work on the same adapter, in turns.
//!
//!     cd benches/peers && cargo run --release -- [FILTER] [--device D] [--turns AT_LEAST] [--record FILE]
//!
//! burn takes most of the build: `--no-default-features --features meganeura` omits it.
//!
//! `ratio` is the peer's time over tagseg's: above 1, tagseg is faster. A time is the median over all turns, in wall
//! time, from submitting a run until one number of its result is read. Before the turns, each engine runs until
//! one-time costs are paid: compilation, tuning. All results are compared, so that all engines are timed for the same
//! work.

#[cfg(feature = "burn")]
mod burn_side;
#[cfg(feature = "meganeura")]
mod meganeura_side;
mod tagseg_side;
mod work;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use tagseg::run::report::Table;

use work::{Engine, Work};

/// Runs before the first turn.
const WARM_UP: usize = 3;
/// Least duration of all turns, so that short work has many.
const LEAST: Duration = Duration::from_secs(3);
/// The largest relative difference of results, as the root of the mean square. All engines sum in f32.
const TOLERANCE: f64 = 1e-3;

#[derive(Clone, Copy)]
struct Peer {
    name: &'static str,
    package: &'static str,
    /// `None` for work that it does not implement.
    engine: fn(Work) -> Option<Box<dyn Engine>>,
}

/// The peers that are built in.
const PEERS: &[Peer] = &[
    #[cfg(feature = "burn")]
    Peer { name: "burn", package: "burn-tensor", engine: burn_side::engine },
    #[cfg(feature = "meganeura")]
    Peer { name: "meganeura", package: "meganeura", engine: meganeura_side::engine },
];

/// Work by its name.
const ROWS: [(&str, Work); 8] = [
    ("matmul 256", Work::MatMul(256)),
    ("matmul 512", Work::MatMul(512)),
    ("matmul 1024", Work::MatMul(1024)),
    ("MLP 784-128-10, batch 64, Adam", Work::Mlp([64, 784, 128, 10])),
    ("conv 3x3 + grad", Work::Conv([8, 32, 64, 64])),
    ("softmax 4096x256 + grad", Work::Softmax([4096, 256])),
    ("layer norm 16384x64 + grad", Work::LayerNorm([16384, 64])),
    ("attention 256x4x32 + grad", Work::Attention([256, 4, 32])),
];

struct Arguments {
    filter: String,
    device: String,
    turns: usize,
    record: Option<PathBuf>,
}

fn main() {
    if let Err(error) = arguments().and_then(|arguments| compare(&arguments)) {
        eprintln!("error: {error}");
        std::process::exit(2);
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments { filter: String::new(), device: "auto".into(), turns: 9, record: None };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--device" => found.device = value()?,
            "--turns" => found.turns = value()?.parse().map_err(|_| "--turns needs a number")?,
            "--record" => found.record = Some(value()?.into()),
            option if option.starts_with("--") => {
                return Err(format!("unknown option {option}: see the documentation in src/main.rs"));
            }
            _ => found.filter = argument,
        }
    }
    if found.turns == 0 { Err("--turns needs a number above 0".into()) } else { Ok(found) }
}

fn compare(arguments: &Arguments) -> Result<(), String> {
    let mut table = Table::new(["", "ours ms", "theirs ms", "ratio", "peer"]);
    let (mut adapter, mut rows) = (String::new(), Vec::new());
    let named = ROWS.into_iter().filter(|(name, _)| name.contains(&arguments.filter));
    for ((name, work), peer) in named.flat_map(|row| PEERS.iter().map(move |peer| (row, peer))) {
        let Some(theirs) = (peer.engine)(work) else { continue };
        eprintln!("{name}, {}", peer.name);
        let ours = tagseg_side::engine(work, &arguments.device).map_err(|error| error.to_string())?;
        let mut engines = [ours, theirs];
        adapter = engines[0].adapter().to_owned();
        if engines[1].adapter() != adapter {
            return Err(format!(
                "tagseg runs on {adapter}, {} on {}; choose by --device",
                peer.name,
                engines[1].adapter()
            ));
        }
        for _ in 0..WARM_UP {
            engines.iter_mut().for_each(|engine| _ = engine.run());
        }
        let [ours, theirs] = engines.each_mut().map(|engine| engine.results());
        if let Some(difference) = difference(&ours, &theirs) {
            return Err(format!("{name}: {} has different results: {difference}", peer.name));
        }
        let [ours, theirs] = times(&mut engines, arguments.turns);
        let ratio = theirs / ours;
        let cells = [name.to_owned(), format!("{:.2}", 1e3 * ours), format!("{:.2}", 1e3 * theirs)];
        table.row(cells.into_iter().chain([format!("{ratio:.2}"), peer.name.to_owned()]));
        rows.push(json!({ "name": name, "ours": ours, peer.name: theirs, "ratio": ratio }));
    }
    print!("{adapter}, load {:.1}\n\n{table}", load());
    match &arguments.record {
        Some(path) => record(path, &adapter, &rows).map_err(|error| format!("{}: {error}", path.display())),
        None => Ok(()),
    }
}

/// Median seconds of a run of each engine.
fn times(engines: &mut [Box<dyn Engine>; 2], turns: usize) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let begun = Instant::now();
    while times[0].len() < turns || begun.elapsed() < LEAST {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            let start = Instant::now();
            engine.run();
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// The first place where two lists of results differ by more than rounding.
fn difference(ours: &[Vec<f32>], theirs: &[Vec<f32>]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} results, not {}", theirs.len(), ours.len()));
    }
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    ours.iter().zip(theirs).enumerate().find_map(|(index, (ours, theirs))| {
        let difference = square(&mut ours.iter().zip(theirs).map(|(our, their)| f64::from(our - their)));
        let size = square(&mut ours.iter().map(|&value| f64::from(value)));
        let relative = difference / size;
        // NaN also fails this comparison.
        let same = ours.len() == theirs.len() && relative < TOLERANCE;
        (!same).then(|| {
            format!("result {index} is off by {relative:.1e} of its size, {:?} and {:?}", &ours[..3], &theirs[..3])
        })
    })
}

/// The load average of the last minute, if the system reports it.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The locked version of a package.
fn version(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")));
    entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("?")
}

/// Writes the same format as `benches/pytorch/compare.py`, with the peers' names.
fn record(path: &std::path::Path, adapter: &str, rows: &[serde_json::Value]) -> std::io::Result<()> {
    let lines: Vec<String> = rows.iter().map(|row| format!("    {row}")).collect();
    let mut text = format!(
        "{{\n  \"date\": \"{}\",\n  \"load\": {:.1},\n  \"adapter\": {},\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        load(),
        json!(adapter),
    );
    for peer in PEERS {
        text += &format!("  \"{}\": \"{}\",\n", peer.name, version(peer.package));
    }
    text += &format!("  \"rows\": [\n{}\n  ]\n}}\n", lines.join(",\n"));
    std::fs::write(path, text)
}
