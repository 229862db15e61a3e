//! Training on the device: repeatable, flat in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::hash::{DefaultHasher, Hash, Hasher};

use tagseg::Session;
use tagseg::bmp::NetworkConfig;
use tagseg::config::Config;
use tagseg::data::shapes::{Split, picture};
use tagseg::data::{AugmentOptions, augment};
use tagseg::train::Trainer;

fn config(steps: usize) -> Config {
    let mut config = Config::preset("nano").unwrap();
    for setting in [&format!("train.iters={steps}"), "train.crop=64", "batch.global=2"] {
        config.set(setting).unwrap();
    }
    config
}

/// Trains `steps` steps on generated shapes and gives a hash of all weights, moments and running statistics.
fn train(steps: usize) -> (u64, Vec<f64>) {
    let session = Session::open("auto").unwrap();
    let config = config(steps);
    let network = NetworkConfig::new(&config, 4);
    let mut trainer = Trainer::new(&session, &config, &network, 3, steps).unwrap();
    for n in 0..steps {
        let (mut images, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        for slot in 0..2 {
            let index = 2 * n + slot;
            let (image, mask) = picture(Split::Train, index, 64, 1);
            let mut random = tagseg::data::random::stream(1, tagseg::data::random::Purpose::Augment, [0, index as u64]);
            let crop = augment(&image, 64, &AugmentOptions::default(), &mut random);
            images.extend(crop.image);
            tags.extend((1..=4).map(|class| f32::from(u8::from(mask.data.contains(&class)))));
            boxes.extend(crop.img_box);
        }
        trainer.step(n, &images, &tags, &boxes).unwrap();
    }
    let losses = trainer.values(0..steps).unwrap().iter().map(|values| values.total).collect();
    let mut hasher = DefaultHasher::new();
    for name in session.state_names() {
        let (_, values) = session.state(&name).unwrap();
        name.hash(&mut hasher);
        values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    }
    (hasher.finish(), losses)
}

/// Protects: two runs of 50 steps through all phases from one seed are bit-equal, and every loss is finite.
#[test]
fn two_runs_are_bit_equal() {
    let ((first, losses), (second, again)) = (train(50), train(50));
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    assert_eq!(losses, again);
    assert_eq!(first, second, "hash of all weights, moments and statistics");
}
