//! The time of an exchange, for docs/many-cards.md.

use std::time::Instant;

use tagseg::engine::graph::{DType, Graph};
use tagseg::engine::nn::Share;
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::session::Session;
use tagseg::run::launch;

/// Bytes of the gradients of `mit_b1`.
const BYTES: usize = 55 << 20;

fn print(what: &str, ranks: usize, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    println!("{what}: {ranks} ranks, 55 MiB: median {:.3} s, least {:.3} s", times[times.len() / 2], times[0]);
}

/// `mpirun -n R target/…/ranks-… --exact times::of_an_exchange --ignored --nocapture` prints the time in which the
/// host exchanges the gradients of `mit_b1`, without the additions.
#[test]
#[ignore = "a measurement, started by mpirun"]
fn of_an_exchange() {
    let world = launch::join().unwrap();
    let own = vec![1_u8; BYTES / world.size() * world.size()];
    let times = (0..9).map(|_| {
        let begun = Instant::now();
        let mine = world.all_to_all(&own).unwrap();
        let all = world.all_gather(&mine[..own.len() / world.size()]).unwrap();
        assert_eq!(all.len(), own.len());
        begun.elapsed().as_secs_f64()
    });
    let times = times.collect();
    if world.is_first() {
        print("messages", world.size(), times);
    }
}

/// The same for a sum in a program: read back, exchanged, added and written.
#[test]
#[ignore = "a measurement, started by mpirun"]
fn of_a_sum() {
    let world = launch::join().unwrap();
    let (ranks, rank) = (world.size(), world.rank());
    let graph = Graph::new();
    let parts: Vec<_> =
        (0..55).map(|part| graph.input(&format!("part {part}"), [BYTES / 55 / 4], DType::F32)).collect();
    let own = Packed::new(&parts).unwrap();
    let sums = Share { ranks, here: rank..rank + 1 }.sum(vec![own]).unwrap();
    let session = Session::open("auto").unwrap().among(world.clone()).unwrap();
    let mut program = session.compile(&graph, &sums.values()).unwrap();
    for part in &parts {
        program.write(part, &vec![1.0_f32; BYTES / 55 / 4]).unwrap();
    }
    let times = (0..9).map(|_| {
        let begun = Instant::now();
        program.run().unwrap();
        session.wait().unwrap();
        begun.elapsed().as_secs_f64()
    });
    let times = times.collect();
    assert_eq!(program.read(sums.values()[0]).unwrap()[0], ranks as f64);
    if world.is_first() {
        print("sums", ranks, times);
    }
}
