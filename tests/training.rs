//! Training on the device: repeatable, flat in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::hash::{DefaultHasher, Hash, Hasher};

use tagseg::Session;
use tagseg::bmp::NetworkConfig;
use tagseg::config::Config;
use tagseg::data::random::{Purpose, stream};
use tagseg::data::shapes::{Split, picture};
use tagseg::data::{AugmentOptions, augment};
use tagseg::train::{StepBatch, Trainer};

fn config(steps: usize) -> Config {
    let mut config = Config::preset("nano").unwrap();
    for setting in [&format!("train.iters={steps}"), "train.crop=64", "batch.global=2"] {
        config.set(setting).unwrap();
    }
    config
}

/// A trainer with the generated shapes that feed it.
struct Run {
    session: Session,
    trainer: Trainer,
    steps: usize,
}

impl Run {
    fn new(steps: usize) -> Self {
        let session = Session::open("auto").unwrap();
        let config = config(steps);
        let network = NetworkConfig::new(&config, 4);
        let trainer = Trainer::new(&session, &config, &network, 3, steps).unwrap();
        Run { session, trainer, steps }
    }

    fn step(&mut self, n: usize) {
        let (mut images, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        for index in 2 * n..2 * n + 2 {
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

/// Protects: two runs of 50 steps through all phases from one seed are bit-equal, and every loss is finite.
#[test]
fn two_runs_are_bit_equal() {
    let train = || {
        let mut run = Run::new(50);
        (0..50).for_each(|n| run.step(n));
        (run.losses(), run.hash())
    };
    let (first, second) = (train(), train());
    assert!(first.0.iter().all(|loss| loss.is_finite()), "{:?}", first.0);
    assert_eq!(first, second, "losses, and hash of all weights, moments and statistics");
}

/// Protects: memory is planned once. After step 3 of a phase not one byte is added over 100 steps.
#[test]
fn memory_does_not_grow() {
    // The first phase of this run lasts longer than the test.
    let mut run = Run::new(600);
    (0..3).for_each(|n| run.step(n));
    run.session.wait().unwrap();
    let before = run.session.allocated().expect("Vulkan tells what is allocated");
    (3..103).for_each(|n| run.step(n));
    run.session.wait().unwrap();
    assert_eq!(run.session.allocated(), Some(before));
}
