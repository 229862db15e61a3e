//! Random programs of public ops, on a device and on the interpreter, which agree to the last bit where values are exact,
//! and else up to what rounding may do to them.
//!
//! `cargo test` checks 200 programs. `TAGSEG_GRAPHS=100000 cargo test --release --test random_graphs random` checks
//! any number; `TAGSEG_GRAPHS_FROM=5000` begins with another seed. A program that fails is shortened and printed: kept in
//! `tests/random_graphs/kept/`, it is checked from then on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod check;
mod exact;
mod generate;
mod program;
mod random;
mod record;
mod shrink;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use check::{Compared, Devices};
use generate::generate;
use program::Program;
use shrink::shrink;

/// A number that the environment gives.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// Protects: every graph that can be recorded also compiles, and gives on a device what it gives on the interpreter.
#[test]
fn random_graphs_agree() {
    let (from, count) = (number("TAGSEG_GRAPHS_FROM", 0), number("TAGSEG_GRAPHS", 200));
    // Panics of the library are caught, and their words are in the report.
    std::panic::set_hook(Box::new(|info| {
        let own = info.location().filter(|at| at.file().starts_with("tests/"));
        own.into_iter().for_each(|at| eprintln!("{at}: {info}"));
    }));
    let (mut devices, start) = (Devices::open(), Instant::now());
    let (mut total, mut failures) = (Compared::default(), Vec::new());
    for seed in from..from + count {
        // Compiled kernels are kept by a device: a new one forgets them.
        if (seed - from) % 500 == 499 {
            devices = Devices::open();
        }
        let checked = match generate(seed, devices.targets()) {
            Ok(program) => devices.check(&program).map_err(|why| {
                let kind = kind(&why);
                let same = |why: String| self::kind(&why) == kind && !why.contains(record::MISSING);
                let smaller = shrink(&program, |other| devices.check(other).is_err_and(same));
                let why = devices.check(&smaller).err().unwrap_or(why);
                format!("{smaller}{why}\n")
            }),
            Err(panicked) => Err(format!("{}panics when it is recorded: {}\n", panicked.program, panicked.message)),
        };
        match checked {
            Ok(compared) => {
                total.values += compared.values;
                total.exact += compared.exact;
                total.loose += compared.loose;
                total.limited += compared.limited;
                total.infinite += compared.infinite;
            }
            Err(failure) => {
                eprintln!("{failure}");
                failures.push(failure);
            }
        }
        if (seed - from) % 1000 == 999 {
            eprintln!("{} graphs, {} failures, {:?}", seed - from + 1, failures.len(), start.elapsed());
        }
    }
    let _ = std::panic::take_hook();
    println!("{count} graphs from seed {from}: {total:?} in {:?}", start.elapsed());
    assert!(failures.is_empty(), "{} of {count} graphs fail:\n{}", failures.len(), failures.join("\n"));
    if count >= 200 {
        assert!(total.exact * 5 > total.values, "too few values are exact to find a wrong one: {total:?}");
        assert!(total.loose * 20 < total.values, "too many values are compared loosely: {total:?}");
        assert!(total.infinite * 20 < total.values, "too many values are no numbers: {total:?}");
    }
}

/// What a failure is called, so that a shorter program fails in the same way.
fn kind(why: &str) -> String {
    let words = why.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty() && *word != "e");
    let skipped = ["run", "of", "program", "after", "in", "state", "s"];
    words.filter(|word| !skipped.contains(word)).take(3).collect::<Vec<_>>().join(" ")
}

/// Protects: programs that once failed.
#[test]
fn kept_programs_agree() {
    let devices = Devices::open();
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/random_graphs/kept")).unwrap() {
        let path = entry.unwrap().path();
        let program = Program::parse(&std::fs::read_to_string(&path).unwrap());
        let compared = devices.check(&program).unwrap_or_else(|why| panic!("{}: {why}\n{program}", path.display()));
        assert!(compared.values > 0, "{} compares nothing", path.display());
        count += 1;
    }
    assert!(count > 0);
}

/// Protects: what is printed of a program can be kept.
#[test]
fn programs_are_read_as_written() {
    for seed in 0..100 {
        let program = generate(seed, 9).unwrap_or_else(|panicked| panic!("{}", panicked.message));
        assert_eq!(Program::parse(&program.to_string()), program);
    }
}

/// Protects: a program that fails becomes no more than what fails.
#[test]
fn failing_programs_are_shortened() {
    let long = (0..300).map(|seed| generate(seed, 2).ok().unwrap()).find(|program| {
        let read: Vec<_> = program.reads.iter().flatten().collect();
        let is_read = program.lines.iter().any(|line| line.op == "matmul" && read.contains(&&line.gives[0]));
        program.lines.len() > 8 && is_read
    });
    let short = shrink(&long.unwrap(), |program| program.lines.iter().any(|line| line.op == "matmul"));
    assert!(short.lines.len() <= 3, "{short}");
}

/// Protects: the generator knows every public op. A new one must be recorded in `record.rs`, and drawn in `generate/`.
#[test]
fn every_public_op_is_drawn() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/ops")).unwrap();
    let recorded = include_str!("record.rs");
    let drawn = concat!(
        include_str!("generate.rs"),
        include_str!("generate/draw.rs"),
        include_str!("generate/products.rs"),
        include_str!("generate/training.rs"),
    );
    let mut known = 0;
    for path in folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let source = std::fs::read_to_string(path).unwrap();
        let mut tables = false;
        for line in source.lines() {
            tables = (tables || line.starts_with("methods! {")) && line != "}";
            let method =
                line.strip_prefix("    pub fn ").filter(|rest| rest.contains("self") || rest.contains("[&Tensor"));
            let row = line.strip_prefix("    ").filter(|line| tables && !line.starts_with([' ', '/']));
            let names = match (method, row) {
                (Some(method), _) => method.split('(').take(1).collect::<Vec<_>>(),
                (_, Some(row)) => {
                    row.split([' ', ',', '(']).take(if row.contains("Reduction") { 3 } else { 1 }).collect()
                }
                _ => continue,
            };
            for name in names.into_iter().filter(|name| !name.is_empty() && !UNDRAWN.contains(name)) {
                assert!(recorded.contains(&format!("{name}(")), "{name} is not recorded");
                let arms = recorded.lines().filter(|line| line.contains(&format!("{name}(")));
                let ops: Vec<_> = arms.filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
                let found = ops.is_empty() || ops.iter().any(|op| drawn.contains(&format!("\"{op}\"")));
                assert!(found, "{name} is not drawn, as {ops:?}");
                known += 1;
            }
        }
    }
    println!("{known} public ops are drawn");
    assert!(known > 70);
}

/// Protects: random programs reach every kernel, but for those with cooperative matrices where the device has none.
#[test]
fn every_kernel_is_drawn() {
    let (devices, mut drawn) = (Devices::open(), BTreeMap::new());
    for seed in 0..3000 {
        let program = generate(seed, devices.targets()).unwrap_or_else(|panicked| panic!("{}", panicked.message));
        let kernels: BTreeSet<_> = devices.kernels(&program).unwrap().into_iter().collect();
        kernels.into_iter().for_each(|kernel| *drawn.entry(kernel).or_insert(0) += 1);
    }
    println!("programs with each kernel: {drawn:?}");
    let shaders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap();
    let paths = shaders.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let names: Vec<_> = paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(names.len() > 40);
    for name in names.iter().filter(|name| !name.starts_with("matmul_coop")) {
        assert!(drawn.contains_key(name.as_str()), "no program has `{name}`: {drawn:?}");
    }
}

/// Public functions of the folder of ops that are no ops.
const UNDRAWN: &[&str] = &["values", "len"];
