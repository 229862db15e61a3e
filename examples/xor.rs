//! The smallest training loop: two layers learn XOR.
//!
//! cargo run --example xor

use tagseg::engine::graph::Graph;
use tagseg::engine::nn::{Init, Linear, Scope};
use tagseg::engine::optim::Sgd;
use tagseg::{Result, Session};

/// Trains 500 steps and prints the four answers.
pub fn main() -> Result<()> {
    // The computation, recorded once.
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let question = graph.constant(&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [4, 2]);
    let truth = graph.constant(&[0.0, 1.0, 1.0, 0.0], [4, 1]);
    let hidden = Linear::new(&scope.at("hidden"), 2, 8, Init::Normal(1.0), Init::Constant(0.0));
    let last = Linear::new(&scope.at("last"), 8, 1, Init::Normal(0.5), Init::Constant(0.0));
    let answer = last.forward(&hidden.forward(&question)?.gelu()?)?;
    let miss = (&answer - &truth)?;
    let loss = (&miss * &miss)?.mean(..)?;

    // Its gradient and the update of every parameter, in the same recording.
    let optimiser = Sgd::new(0.1).step(&loss, &scope.trainable())?;

    // One program, replayed: each run is a step.
    let mut session = Session::open("auto")?;
    scope.initialise(&mut session, 1)?;
    let mut step = session.compile(&graph, &[&loss, &answer])?;
    for n in 1..=500 {
        optimiser.write(&mut step, n)?;
        step.run()?;
    }
    let answers = step.read(&answer)?;
    println!("after 500 steps on {}: loss {:.5}, answers {answers:.2?}", session.name(), step.read(&loss)?[0]);
    assert!(answers.iter().zip([0.0, 1.0, 1.0, 0.0]).all(|(answer, truth)| (answer - truth).abs() < 0.1));
    Ok(())
}
