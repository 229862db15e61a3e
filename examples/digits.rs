//! A small convolutional network learns to read digits, drawn at random positions, sizes and slants on noise.
//!
//! cargo run --release --example digits

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tagseg::engine::graph::{DType, Graph};
use tagseg::engine::nn::{Conv2d, Init, Linear, Scope};
use tagseg::engine::optim::AdamW;
use tagseg::{Result, Session};

const BATCH: usize = 64;
const SIDE: usize = 16;

/// Five rows of three cells for each digit, the first cell highest.
const GLYPHS: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];

/// A batch of pictures \[BATCH, SIDE, SIDE, 1\] and their labels.
fn draw(random: &mut ChaCha8Rng) -> (Vec<f32>, Vec<i32>) {
    let (mut pictures, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..BATCH {
        let digit = random.random_range(0..10);
        let cell: f32 = random.random_range(1.8..2.6);
        let slant: f32 = random.random_range(-0.25..0.25);
        let [x0, y0]: [f32; 2] = [0, 1].map(|_| random.random_range(6.5..9.5));
        for place in 0..SIDE * SIDE {
            let (y, x) = ((place / SIDE) as f32 + 0.5 - y0, (place % SIDE) as f32 + 0.5 - x0);
            let (row, column) = ((y / cell + 2.5).floor(), ((x - slant * y) / cell + 1.5).floor());
            let inside = (0.0..5.0).contains(&row) && (0.0..3.0).contains(&column);
            let ink = inside && GLYPHS[digit] >> (14 - 3 * row as u16 - column as u16) & 1 == 1;
            pictures.push(f32::from(u8::from(ink)) + random.random_range(-0.5..0.5));
        }
        labels.push(digit as i32);
    }
    (pictures, labels)
}

/// Trains 600 steps and returns the accuracy on new digits.
pub fn main() -> Result<()> {
    // The network: two convolutions that halve the side, and a linear layer.
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let picture = graph.input("picture", [BATCH, SIDE, SIDE, 1], DType::F32);
    let label = graph.input("label", [BATCH, 1, 1], DType::I32);
    let first = Conv2d::new(&scope.at("first"), 1, 8, 3, 2, 1).forward(&picture)?.gelu()?;
    let second = Conv2d::new(&scope.at("second"), 8, 16, 3, 2, 1).forward(&first)?.gelu()?;
    let features = second.reshape([BATCH, SIDE * SIDE])?;
    let last = Linear::new(&scope.at("last"), SIDE * SIDE, 10, Init::Normal(0.05), Init::Constant(0.0));
    let scores = last.forward(&features)?;
    let answer = scores.arg_max(1)?;
    let loss = scores.reshape([BATCH, 10, 1, 1])?.cross_entropy_map(&label, 0)?.mean(..)?;

    // The network alone is for inference; with AdamW recorded after it, it is trained.
    let mut session = Session::open("auto")?;
    scope.initialise(&mut session, 1)?;
    let mut reader = session.compile(&graph, &[&answer])?;
    let mut optimiser = AdamW::new(5e-3).weight_decay(0.0).step(&loss, &scope.trainable())?;
    let mut step = session.compile(&graph, &[&loss])?;

    let mut random = ChaCha8Rng::seed_from_u64(1);
    for n in 1..=600 {
        let (pictures, labels) = draw(&mut random);
        step.write(&picture, &pictures)?;
        step.write(&label, &labels)?;
        optimiser.set_learning_rate(5e-3 * (1.0 - n as f64 / 600.0));
        optimiser.write(&mut step, n)?;
        step.run()?;
        if n % 100 == 0 {
            println!("step {n}: loss {:.3}", step.read(&loss)?[0]);
        }
    }

    let (mut right, rounds) = (0, 8);
    for _ in 0..rounds {
        let (pictures, labels) = draw(&mut random);
        reader.write(&picture, &pictures)?;
        reader.run()?;
        let answers = reader.read(&answer)?;
        right += answers.iter().zip(&labels).filter(|(answer, label)| **answer == f64::from(**label)).count();
    }
    let share = right as f64 / (rounds * BATCH) as f64;
    println!("{:.1} % of {} new digits are classified correctly on {}", 100.0 * share, rounds * BATCH, session.name());
    assert!(share > 0.95);
    Ok(())
}
