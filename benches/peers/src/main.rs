//! Times tagseg against meganeura on the same adapter: `cargo run --release` in this folder.
//!
//! A run of either is handed to the device and waited for, by the clock. Runs take turns, so that what else the machine
//! does falls on both; the medians are compared. Both give the same loss, or the row is not shown.

mod meganeura_side;
mod tagseg_side;

use std::time::Instant;

use tagseg::report::Table;

/// A loss, differentiated with respect to every operand, or a forward product.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Product of two square matrices of this side; nothing is differentiated.
    MatMul(usize),
    /// Batch, inputs, hidden units, classes: ReLU, softmax cross-entropy, a step of Adam.
    Mlp([usize; 4]),
    /// Batch, side, channels in, channels out: 3×3, padding 1.
    Conv([usize; 4]),
    /// Rows and their width.
    Softmax([usize; 2]),
    /// Rows and their width.
    LayerNorm([usize; 2]),
    /// Tokens, heads, channels of a head.
    Attention([usize; 3]),
}

/// Something compiled that can be run and waited for.
pub trait Engine {
    /// Runs once; gives nothing back before it is done.
    fn run(&mut self);
    /// The loss of the last run; for [`Work::MatMul`] the first element.
    fn loss(&mut self) -> f32;
}

/// Repeatable values in [−0.5, 0.5), so that both sides compute the same.
pub fn noise(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5).collect()
}

/// One-hot rows.
pub fn labels(rows: usize, classes: usize) -> Vec<f32> {
    (0..rows * classes).map(|index| f32::from(u8::from(index % classes == index / classes % classes))).collect()
}

const TURNS: usize = 15;
const ROWS: [(&str, Work); 6] = [
    ("matmul 512³", Work::MatMul(512)),
    ("MLP 784-128-10, batch 64, Adam", Work::Mlp([64, 784, 128, 10])),
    ("conv 3×3 64→64, 32², batch 8", Work::Conv([8, 32, 64, 64])),
    ("softmax 4096×256", Work::Softmax([4096, 256])),
    ("layer norm 16384×64", Work::LayerNorm([16384, 64])),
    ("attention 256 × 4 heads × 32", Work::Attention([256, 4, 32])),
];

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut table = Table::new(["", "tagseg ms", "meganeura ms", "times faster"]);
    for (name, work) in ROWS.into_iter().filter(|(name, _)| name.contains(&filter)) {
        let mut engines: [Box<dyn Engine>; 2] = [tagseg_side::engine(work), meganeura_side::engine(work)];
        for engine in &mut engines {
            engine.run();
        }
        let [ours, theirs] = engines.each_mut().map(|engine| engine.loss());
        if (ours - theirs).abs() > 1e-3 * (1e-3 + theirs.abs()) {
            eprintln!("{name}: tagseg computes {ours}, meganeura {theirs}; not compared");
            continue;
        }
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            for (engine, times) in engines.iter_mut().zip(&mut times) {
                let start = Instant::now();
                engine.run();
                times.push(1e3 * start.elapsed().as_secs_f64());
            }
        }
        let [ours, theirs] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[TURNS / 2]
        });
        table.row([name.to_owned(), format!("{ours:.2}"), format!("{theirs:.2}"), format!("{:.2}", theirs / ours)]);
    }
    print!("{table}");
}
