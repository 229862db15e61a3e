//! Training on the device: repeatable, with constant memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::hash::{DefaultHasher, Hash, Hasher};

use tagseg::Session;
use tagseg::config::{Config, Precision, S2cMap};
use tagseg::data::random::{Purpose, stream};
use tagseg::data::shapes::{Split, picture};
use tagseg::data::{AugmentOptions, augment};
use tagseg::parts::network::NetworkConfig;
use tagseg::run::train::{StepBatch, Trainer};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Mixed];

fn config(steps: usize) -> Config {
    let mut config = Config::preset("nano").unwrap();
    for setting in [&format!("train.iters={steps}"), "train.crop=64", "batch.global=2"] {
        config.set(setting).unwrap();
    }
    config
}

/// A trainer with generated shapes as its data.
struct Run {
    session: Session,
    trainer: Trainer,
    steps: usize,
    batch: usize,
}

impl Run {
    fn new(steps: usize, precision: Precision) -> Self {
        let mut config = config(steps);
        config.train_precision = precision;
        Self::of(&config, "auto")
    }

    fn of(config: &Config, device: &str) -> Self {
        let session = tagseg::run::device::open(device).unwrap();
        let (steps, batch) = (config.train_iters, config.batch_global);
        let network = NetworkConfig::new(config, 4).unwrap();
        let trainer = Trainer::new(&session, config, &network, 3, steps).unwrap();
        Run { session, trainer, steps, batch }
    }

    /// Images, tags and boxes of a step.
    fn batch(&self, n: usize) -> (Vec<u8>, Vec<f32>, Vec<i32>) {
        let (mut images, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        for index in self.batch * n..self.batch * (n + 1) {
            let (image, mask) = picture(Split::Train, index, 64, 1);
            let crop = augment(
                &image,
                None,
                64,
                &AugmentOptions::default(),
                &mut stream(1, Purpose::Augment, [0, index as u64]),
            );
            images.extend(crop.image);
            tags.extend((1..=4).map(|class| f32::from(u8::from(mask.data.contains(&class)))));
            boxes.extend(crop.img_box);
        }
        (images, tags, boxes)
    }

    fn step(&mut self, n: usize) {
        let (images, tags, boxes) = self.batch(n);
        self.trainer.step(n, StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &[] }).unwrap();
    }

    /// Loss of every step so far.
    fn losses(&self) -> Vec<f64> {
        self.trainer.values(0..self.steps).unwrap().iter().map(|values| values.total).collect()
    }

    /// Hash of all weights, moments and running statistics.
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for name in self.session.state_names() {
            let (_, values) = self.session.state(&name).unwrap();
            name.hash(&mut hasher);
            values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
        }
        hasher.finish()
    }
}

/// Protects: two runs of 50 steps through all phases from one seed are bit-identical in either precision, and every
/// loss is finite.
#[test]
fn two_runs_are_bit_identical() {
    let train = |precision| {
        let mut run = Run::new(50, precision);
        (0..50).for_each(|n| run.step(n));
        (run.losses(), run.hash())
    };
    let [whole, half] = PRECISIONS.map(|precision| {
        let (first, second) = (train(precision), train(precision));
        assert!(first.0.iter().all(|loss| loss.is_finite()), "{:?}", first.0);
        assert_eq!(first, second, "{precision}: losses, and hash of all weights, moments and statistics");
        first
    });
    assert_ne!(whole, half, "mixed precision gives different results");
}

/// Protects: memory is planned once. After step 3 of a phase, not a byte is allocated over 100 steps.
#[test]
fn memory_does_not_grow() {
    for precision in PRECISIONS {
        // The first phase of this run lasts longer than the test.
        let mut run = Run::new(600, precision);
        (0..3).for_each(|n| run.step(n));
        run.session.wait().unwrap();
        let before = run.session.allocated().expect("Vulkan reports what is allocated");
        (3..103).for_each(|n| run.step(n));
        run.session.wait().unwrap();
        assert_eq!(run.session.allocated(), Some(before), "{precision}");
    }
}

/// Protects: no phase of the schedule adds a byte once its program has run twice, and the last takes what it was planned
/// to take, however many came before.
#[test]
fn memory_does_not_grow_in_any_phase() {
    let mut run = Run::new(60, Precision::F32);
    let phases: Vec<_> = (0..60).map(|n| run.trainer.schedule().phase(n)).collect();
    let mut checked = 0;
    let mut n = 0;
    for phase in phases.chunk_by(|one, next| one == next) {
        let mut before = None;
        for step in 0..phase.len() {
            run.step(n);
            run.session.wait().unwrap();
            n += 1;
            if step >= 2 {
                let now = run.session.allocated();
                assert_eq!(*before.get_or_insert(now), now, "step {step} of {:?}", phase[0]);
            }
        }
        checked += usize::from(before.is_some());
    }
    assert!(checked >= 3, "{checked} phases of {phases:?}");
}

/// Protects: finding what broke a step changes nothing, running statistics included.
#[test]
fn a_diagnosis_changes_no_state() {
    for device in ["auto", "reference"] {
        let mut run = Run::of(&config(4), device);
        run.step(0);
        run.session.settle();
        let before = run.hash();
        let (images, tags, boxes) = run.batch(1);
        let batch = StepBatch { images: &images, tags: &tags, boxes: &boxes, masks: &[] };
        assert_eq!(run.trainer.diagnose(1, batch).unwrap(), None);
        assert!(run.hash() == before, "{device}");
    }
}

/// Protects: values are those of the steps that are asked for, or an error; never those of others.
#[test]
fn a_window_holds_its_last_steps() {
    let config = config(6);
    let session = tagseg::run::device::open("auto").unwrap();
    let network = NetworkConfig::new(&config, 4).unwrap();
    let error = Trainer::new(&session, &config, &network, 3, 0).err().unwrap().to_string();
    assert!(error.contains("a window of 0 steps"), "{error}");
    let trainer = Trainer::new(&session, &config, &network, 3, 2).unwrap();
    let mut run = Run { session, trainer, steps: 6, batch: 2 };
    (0..5).for_each(|n| run.step(n));
    assert_eq!(run.trainer.values(3..5).unwrap().len(), 2);
    for steps in [2..5, 2..4, 4..6, 0..2] {
        let error = run.trainer.values(steps.clone()).err().unwrap().to_string();
        assert!(error.contains("are not among the last 2"), "{steps:?}: {error}");
    }
}

/// Four images in groups of `replica`, through all phases: the whole batch at once, and in parts of `micro`.
fn whole_and_divided(steps: usize, replica: usize, micro: usize, s2c_map: S2cMap, device: &str) -> [Run; 2] {
    [0, micro].map(|micro| {
        let mut config = config(steps);
        for setting in
            ["batch.global=4", "ms.scales=[1, 1.5]", "schedule.n_c2s=0", "schedule.n_s2c=0", "schedule.n_bsp=1"]
        {
            config.set(setting).unwrap();
        }
        // Freshly initialised logits rarely pass the released threshold.
        (config.sigma_s, config.loss_replica_size, config.batch_micro) = (0.0, replica, micro);
        config.s2c_map = s2c_map;
        config.validate().unwrap();
        let mut run = Run::of(&config, device);
        (0..steps).for_each(|n| run.step(n));
        run
    })
}

/// The largest difference between the states of two runs, against the largest value of each.
fn difference(runs: [&Run; 2]) -> f64 {
    let names = runs[0].session.state_names();
    assert_eq!(names, runs[1].session.state_names(), "micro-batches add no state to a checkpoint");
    let apart = names.into_iter().map(|name| {
        let [(_, whole), (_, divided)] = [0, 1].map(|run| runs[run].session.state(&name).unwrap());
        let largest =
            |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, value| most.max(value.abs()));
        let error = largest(&mut whole.iter().zip(&divided).map(|(whole, divided)| whole - divided));
        error / largest(&mut whole.iter().copied()).max(1e-3)
    });
    apart.fold(0.0, f64::max)
}

/// Protects: micro-batches give the undivided step: weights, moments, running statistics and recorded values,
/// with dropout, in f64 up to rounding.
#[test]
fn a_divided_batch_gives_the_undivided_step() {
    for (replica, micro, s2c_map) in [(2, 2, S2cMap::CamLogits), (1, 1, S2cMap::Propagated)] {
        let runs = whole_and_divided(2, replica, micro, s2c_map, "reference");
        let error = difference([&runs[0], &runs[1]]);
        println!("in groups of {replica}, parts of {micro}: {error:.1e}");
        assert!(error < 1e-11, "{error:e}");
        let values = &runs[1].trainer.values(1..2).unwrap()[0];
        assert!(["c2s", "s2c", "aff"].iter().all(|name| values.loss(name).unwrap() > 0.0), "{values:?}");
    }
}

/// Four images through all phases, in groups of one, with `settings`.
fn divided_by(steps: usize, settings: &[&str], device: &str) -> Run {
    let mut config = config(steps);
    let own = ["batch.global=4", "ms.scales=[1, 1.5]", "schedule.n_c2s=0", "schedule.n_s2c=0", "schedule.n_bsp=1"];
    for setting in own.iter().chain(&["loss.replica_size=1", "sigma_s=0.0"]).chain(settings) {
        config.set(setting).unwrap();
    }
    config.validate().unwrap();
    let mut run = Run::of(&config, device);
    (0..steps).for_each(|n| run.step(n));
    run
}

/// How far a run with `ranks` settings is from the undivided batch, how far one in micro-batches of two is, whose step is
/// exact up to rounding (`a_divided_batch_gives_the_undivided_step`), and the former run.
fn apart(steps: usize, ranks: &[&str], settings: &[&str], device: &str) -> (f64, f64, Run) {
    let run = |more: &[&str]| divided_by(steps, &[more, settings].concat(), device);
    let whole = run(&[]);
    let rounding = difference([&whole, &run(&["batch.micro=2"])]);
    let divided = run(ranks);
    (difference([&whole, &divided]), rounding, divided)
}

/// Protects: a batch that is divided among ranks gives the undivided step, with dropout and with micro-batches, in f64 up
/// to what rounding does to micro-batches.
#[test]
fn ranks_give_the_undivided_step() {
    for (ranks, settings) in
        [(&["batch.ranks=2"][..], &[][..]), (&["batch.ranks=2", "batch.micro=1"], &["s2c.map=propagated"])]
    {
        let (error, rounding, run) = apart(2, ranks, settings, "reference");
        println!("{ranks:?} {settings:?}: {error:.1e}, micro-batches {rounding:.1e}");
        assert!(rounding < 1e-10 && error < 4.0 * rounding.max(1e-12), "{error:e}, micro-batches {rounding:e}");
        let values = &run.trainer.values(1..2).unwrap()[0];
        assert!(["c2s", "s2c", "aff"].iter().all(|name| values.loss(name).unwrap() > 0.0), "{values:?}");
    }
}

/// Protects: the same on the device, for several methods, and repeatable bit for bit.
#[test]
fn ranks_follow_the_undivided_batch_on_the_device() {
    for (ranks, settings) in [
        (&["batch.ranks=2"][..], &[][..]),
        (&["batch.ranks=4"], &[]),
        (&["batch.ranks=2", "batch.micro=1"], &[]),
        (&["batch.ranks=2"], &["method.name=afa"]),
        (&["batch.ranks=2"], &["ms.mode=eval"]),
    ] {
        let (error, rounding, run) = apart(1, ranks, settings, "auto");
        println!("{ranks:?} {settings:?}: {error:.1e}, micro-batches {rounding:.1e}");
        assert!(rounding < 1e-2 && error < 4.0 * rounding.max(1e-6), "{error:e}, micro-batches {rounding:e}");
        let again = divided_by(1, &[ranks, settings].concat(), "auto");
        assert_eq!(run.hash(), again.hash(), "{ranks:?} {settings:?}: bit for bit");
    }
}

/// Protects: micro-batches save memory.
#[test]
fn parts_of_a_batch_take_less_memory() {
    let bytes = [0, 2].map(|micro| {
        let mut config = Config::preset("nano+cls").unwrap();
        (config.train_crop, config.batch_global, config.batch_micro) = (128, 16, micro);
        let mut run = Run::of(&config, "auto");
        run.trainer.prepare(0).unwrap();
        run.trainer.program().unwrap().plan().unwrap().bytes()
    });
    assert!(bytes[1] * 10 < bytes[0] * 7, "{bytes:?}");
}

/// Protects: the same on the device, up to f32 rounding of sums in another order.
#[test]
fn a_divided_batch_follows_the_undivided_one_on_the_device() {
    let runs = whole_and_divided(4, 1, 1, S2cMap::Propagated, "auto");
    let [whole, divided] = [0, 1].map(|run| runs[run].losses());
    for (whole, divided) in whole.iter().zip(&divided) {
        assert!((whole - divided).abs() < 1e-4 * whole, "{whole} {divided}");
    }
    assert_eq!(runs[1].trainer.micro_batch(), 1);
    let again = whole_and_divided(4, 1, 1, S2cMap::Propagated, "auto");
    assert_eq!(runs[1].hash(), again[1].hash(), "bit for bit");
}

/// Protects: recomputing values for the gradient saves memory and is bit-identical, also with micro-batches and in half
/// precision.
#[test]
fn a_memory_limit_is_bit_identical() {
    changes_no_bit(&[]);
    // Micro-batches need more memory than the passes for labels, which no limit reduces.
    changes_no_bit(&["batch.global=8", "batch.micro=4", "ms.scales=[1.0]"]);
    changes_no_bit(&["train.precision=mixed", "batch.global=8", "ms.scales=[1.0]"]);
}

/// Trains without a limit, and with one of 95 % of what that takes.
fn changes_no_bit(settings: &[&str]) {
    let train = |memory: &str| {
        let mut config = config(4);
        settings.iter().for_each(|setting| config.set(setting).unwrap());
        config.set(&format!("train.memory={memory}")).unwrap();
        let mut run = Run::of(&config, "auto");
        (0..4).for_each(|n| run.step(n));
        let bytes = run.trainer.program().unwrap().plan().unwrap().bytes();
        ((run.losses(), run.hash()), bytes)
    };
    let (free, bytes) = train("any");
    let limit = bytes * 95 / 100;
    let (limited, less) = train(&format!("{}.{:06}MB", limit / 1_000_000, limit % 1_000_000));
    assert!(less <= limit && limit < bytes, "{less} of {bytes} bytes");
    assert_eq!(free, limited, "losses, and hash of all weights, moments and statistics");
}
