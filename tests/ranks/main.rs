//! Training by several processes that MPI starts: the same bits as one process, and an end to all of them on any fault.
//! `make test-ranks` installs what these tests need.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod faults;
mod place;
mod times;

use place::{Place, alone, ranks, succeed};

/// Trains by processes and in one process, and compares every state and every recorded value.
fn compare(place: &Place, count: usize, settings: &[&str]) {
    let told = succeed(ranks(count, &place.train("many", settings)));
    assert_eq!(told.matches("parameters, ").count(), 1, "one rank prints: {told}");
    let virtual_ranks = format!("batch.ranks={count}");
    let one = [settings, &[&virtual_ranks]].concat();
    succeed(alone(&place.train("one", &one)));
    let (many, one) = (place.ends("many"), place.ends("one"));
    assert!(many.0 == one.0, "{count} ranks with {settings:?}: {:?}", first_difference(&many.0, &one.0));
    assert_eq!(many.1, one.1, "{count} ranks with {settings:?}");
}

fn first_difference<K: Ord + Clone, V: PartialEq>(
    one: &std::collections::BTreeMap<K, V>,
    two: &std::collections::BTreeMap<K, V>,
) -> Option<K> {
    one.iter().find(|(name, value)| two.get(name) != Some(value)).map(|(name, _)| name.clone())
}

/// Protects: two processes train the bits of one process with two virtual ranks, with dropout, in every phase, with and
/// without micro-batches, for every method; scores too.
#[test]
fn two_processes_are_two_virtual_ranks() {
    let place = Place::new();
    for settings in [&[][..], &["batch.micro=1"], &["method.name=afa"], &["method.name=segformer"]] {
        compare(&place, 2, settings);
    }
}

/// Protects: the same for four, whose sums depend on the order.
#[test]
fn four_processes_are_four_virtual_ranks() {
    let place = Place::new();
    compare(&place, 4, &[]);
    compare(&place, 4, &["batch.global=8", "batch.micro=1", "train.iters=4", "train.eval_every=4"]);
}

/// Protects: the same on the interpreter, in f64.
#[test]
fn processes_without_a_device_are_virtual_ranks() {
    let place = Place::new();
    let few = ["train.iters=2", "train.eval_every=2", "batch.global=2", "model.embed_dim=8", "schedule.n_s2c=0"];
    let with_device = |mut args: Vec<String>| {
        args.extend(["--device", "reference"].map(String::from));
        args
    };
    succeed(ranks(2, &with_device(place.train("many", &few))));
    succeed(alone(&with_device(place.train("one", &[&few[..], &["batch.ranks=2"]].concat()))));
    assert!(place.ends("many") == place.ends("one"));
}
