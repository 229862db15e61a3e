//! Training by several processes that MPI starts: the same bits as one process, and an end to all of them on any fault.
//! `make test-ranks` installs what these tests need.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod faults;
mod inside;
mod place;
mod times;

use std::process::Command;

use place::{Place, alone, ranks, succeed, without_network};

/// Trains by processes and in one process, and compares every state and every recorded value. What the processes print.
fn compare(place: &Place, count: usize, settings: &[&str]) -> String {
    compare_with(place, count, settings, &[])
}

/// The same with `more` settings of the processes alone.
fn compare_with(place: &Place, count: usize, settings: &[&str], more: &[&str]) -> String {
    let told = succeed(ranks(count, &place.train("many", &[settings, more].concat())));
    assert_eq!(told.matches("parameters, ").count(), 1, "one rank prints: {told}");
    let virtual_ranks = format!("batch.ranks={count}");
    let one = [settings, &[&virtual_ranks]].concat();
    succeed(alone(&place.train("one", &one)));
    let (many, one) = (place.ends("many"), place.ends("one"));
    assert!(many.0 == one.0, "{count} ranks with {settings:?}: {:?}", first_difference(&many.0, &one.0));
    assert_eq!(many.1, one.1, "{count} ranks with {settings:?}");
    told
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
    let place = Place::of_all();
    succeed(alone(&place.train("one", &["batch.ranks=2"])));
    assert!(place.ends("whole") == place.ends("one"));
    for settings in ["batch.micro=1", "method.name=afa", "method.name=segformer"] {
        compare(place, 2, &[settings]);
    }
}

/// Protects: the same for four, whose sums depend on the order.
#[test]
fn four_processes_are_four_virtual_ranks() {
    let place = Place::of_all();
    compare(place, 4, &[]);
    compare(place, 4, &["batch.global=8", "batch.micro=1", "train.iters=4", "train.eval_every=4"]);
}

/// Protects: the same for three, which deal an odd number of images for the scores.
#[test]
fn three_processes_are_three_virtual_ranks() {
    compare(Place::of_all(), 3, &["batch.global=3", "train.iters=2", "train.eval_every=2"]);
}

/// Protects: ranks on one machine need no network but its loopback.
#[test]
fn no_network_is_needed() {
    let place = Place::of_all();
    let mut command = without_network();
    command.args(["-n", "2", env!("CARGO_BIN_EXE_tagseg")]).args(place.train("cut_off", &[]));
    succeed(command);
    assert!(place.ends("cut_off") == place.ends("whole"));
}

/// Protects: a program without the feature needs no MPI.
#[test]
fn mpi_is_optional() {
    let tree = |features: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["tree", "--offline", "--prefix", "none", "--manifest-path"]);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).args(features);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().any(|line| line.starts_with("mpi "))
    };
    assert!(!tree(&[]));
    assert!(tree(&["--features", "mpi"]));
}

/// Protects: the same for features in half precision, and for photographs: an encoder that draws no random numbers, whose
/// features all passes share, from the weights that come with the program, with levels that are not trained.
#[test]
fn other_networks_are_divided_alike() {
    let place = Place::of_all();
    compare(place, 2, &["train.precision=mixed"]);
    let network = ["model.backbone=efficientnet_lite0", "model.start=bundled", "model.frozen_levels=1"];
    compare(place, 2, &[&network[..], &["ms.scales=[1]", "lambda=[0.7, 0.1, 0]"]].concat());
}

/// Protects: a memory limit holds for each process, and changes no bit.
#[test]
fn a_memory_limit_holds_for_each_process() {
    let place = Place::of_all();
    let settings = ["ms.scales=[1]", "batch.global=8"];
    let mut plan = place.train("none", &settings);
    plan.push("--plan".to_owned());
    let plan = String::from_utf8(ranks(2, &plan).output().unwrap().stdout).unwrap();
    let whole = plan.lines().find(|line| line.starts_with("together ")).unwrap();
    let free: f64 = whole.rsplit(' ').next().unwrap().parse().unwrap();
    let limit = (0.9 * free).floor();
    let told = compare_with(place, 2, &settings, &[&format!("train.memory={limit}MiB")]);
    let (before, _) = told.split_once(" MiB\n").unwrap();
    let limited: f64 = before.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(limited <= limit, "{limited} of {free} MiB");
}

/// Protects: the same on the interpreter, in f64.
#[test]
fn processes_without_a_device_are_virtual_ranks() {
    let place = Place::of_all();
    let few = ["train.iters=2", "train.eval_every=2", "batch.global=2", "model.embed_dim=8", "schedule.n_s2c=0"];
    let with_device = |mut args: Vec<String>| {
        args.extend(["--device", "reference"].map(String::from));
        args
    };
    succeed(ranks(2, &with_device(place.train("many", &few))));
    succeed(alone(&with_device(place.train("one", &[&few[..], &["batch.ranks=2"]].concat()))));
    assert!(place.ends("many") == place.ends("one"));
}
