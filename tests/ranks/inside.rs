//! Faults inside a process: a panic, and a wrong bit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tagseg::engine::gpu::DeviceChoice;
use tagseg::engine::graph::{DType, Graph};
use tagseg::engine::nn::Share;
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ranks::{Ranks, World};
use tagseg::engine::session::Session;
use tagseg::method::Methods;
use tagseg::run::launch;
use tagseg::run::report::RunSeries;
use tagseg::run::train::{Stop, TrainOptions, run};
use tagseg::{Error, Result};

use crate::place::{Place, fail, succeed, test_in_ranks};

/// The variable that names the fault of [`a_rank_that_panics`].
const MOMENT: &str = "TAGSEG_TEST_MOMENT";

/// Ranks of which number 1 has a fault.
#[derive(Debug)]
struct Faulty {
    world: World,
    fault: Fault,
    /// The sums so far.
    sums: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A panic while the others wait for its part of a sum.
    PanicInASum,
    /// A wrong bit in the second sum that it receives.
    WrongBit,
}

/// More bytes than any exchange but that of a sum has.
const LONG: usize = 1 << 16;

impl Faulty {
    fn among(world: World, fault: Fault) -> World {
        World::new(Faulty { world, fault, sums: AtomicUsize::new(0) })
    }
}

impl Ranks for Faulty {
    fn rank(&self) -> usize {
        self.world.rank()
    }

    fn size(&self) -> usize {
        self.world.size()
    }

    fn local_rank(&self) -> usize {
        self.world.local_rank()
    }

    fn local_size(&self) -> usize {
        self.world.local_size()
    }

    fn machine(&self) -> &str {
        self.world.machine()
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        let mut all = self.world.all_gather(own)?;
        let is_wrong = self.rank() == 1 && self.fault == Fault::WrongBit && own.len() > LONG;
        if is_wrong && self.sums.fetch_add(1, Ordering::Relaxed) == 1 {
            // The highest bit of an exponent, as AdamW hardly sees the size of a gradient.
            all[3] ^= 0x40;
        }
        Ok(all)
    }

    fn all_to_all(&self, blocks: &[u8]) -> Result<Vec<u8>> {
        assert!(self.rank() != 1 || self.fault != Fault::PanicInASum, "on purpose");
        self.world.all_to_all(blocks)
    }

    fn limit_waits(&self, seconds: u64) {
        self.world.limit_waits(seconds);
    }

    fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }
}

/// Protects: a panic in one rank, before, in and after an exchange, ends the others, which wait for it, within five seconds,
/// and names the rank.
#[test]
fn a_panic_ends_all_ranks() {
    for moment in ["before", "in", "after"] {
        let mut command = test_in_ranks(3, "inside::a_rank_that_panics");
        command.env(MOMENT, moment);
        let begun = Instant::now();
        let text = fail(command);
        assert!(begun.elapsed() < Duration::from_secs(5), "{moment}: {:?}", begun.elapsed());
        assert!(text.contains("rank 1: ") && text.contains("on purpose"), "{moment}: {text}");
    }
}

/// A part of the test above, which runs it in several processes.
#[test]
#[ignore = "run by another test"]
fn a_rank_that_panics() {
    let world = launch::join().unwrap();
    let moment = std::env::var(MOMENT).unwrap();
    assert!(world.rank() != 1 || moment != "before", "on purpose");
    let world = match moment == "in" {
        true => Faulty::among(world, Fault::PanicInASum),
        false => world,
    };
    let (ranks, rank) = (world.size(), world.rank());
    let graph = Graph::new();
    let part = graph.input("part", [5], DType::F32);
    let own = Packed::new(std::slice::from_ref(&part)).unwrap();
    let sums = Share { ranks, here: rank..rank + 1 }.sum(vec![own]).unwrap();
    let session = Session::open("reference").unwrap().among(world.clone()).unwrap();
    let mut program = session.compile(&graph, &sums.values()).unwrap();
    program.write(&part, &[1.0_f32; 5]).unwrap();
    program.run().unwrap();
    assert_eq!(program.read(sums.values()[0]).unwrap()[0], ranks as f64);
    assert!(rank != 1, "on purpose");
    world.all_gather(&[0]).unwrap();
}

/// Protects: a bit that is wrong in one rank, as from a broken memory or link, ends the run at the next save, which says
/// whose.
#[test]
fn a_wrong_bit_ends_the_run_at_the_next_save() {
    // It makes the data set before several processes read it.
    Place::of_all();
    succeed(test_in_ranks(2, "inside::a_rank_with_a_wrong_bit"));
}

/// A part of the test above, which runs it in several processes.
#[test]
#[ignore = "run by another test"]
fn a_rank_with_a_wrong_bit() {
    let world = launch::join().unwrap();
    let place = Place::that_exists();
    let options = TrainOptions {
        config: place.config(),
        data: place.path("data"),
        out: place.path("wrong"),
        weights: None,
        partial: false,
        device: DeviceChoice::default(),
        overwrite: true,
        skip_broken: false,
        stop: Stop::default(),
        series: RunSeries { silent: true, ..RunSeries::default() },
        methods: Methods::default(),
        world: Faulty::among(world, Fault::WrongBit),
    };
    let error = run(&options).unwrap_err();
    assert!(matches!(error, Error::Graph(_)), "{error}");
    assert!(error.to_string().contains("rank 1 has other weights than rank 0 at step 3"), "{error}");
}
