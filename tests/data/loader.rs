//! Batches: the same for any number of threads, and when a run is resumed at any step.

use std::sync::Arc;

use tagseg::data::{Batch, Loader, LoaderOptions};

use crate::folder::{Folder, assert_names, message};

/// Seven images, so that an epoch of batches of two drops one.
fn seven() -> Folder {
    let folder = Folder::new();
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    for id in ids {
        folder.image(id, 11, 9);
    }
    folder.write("ImageSets/Segmentation/train.txt", ids.join("\n"));
    let tags = ids.map(|id| format!(r#""{id}": ["cat"]"#)).join(", ");
    folder.write("labels.json", format!(r#"{{"classes": ["cat", "dog"], "tags": {{{tags}}}}}"#));
    folder
}

fn options() -> LoaderOptions {
    LoaderOptions { batch: 2, crop: 8, seed: 5, ..LoaderOptions::default() }
}

fn batches(folder: &Folder, options: LoaderOptions, count: usize) -> Vec<Batch> {
    let mut loader = Loader::new(Arc::new(folder.open().unwrap()), options).unwrap();
    (0..count).map(|_| loader.next().unwrap()).collect()
}

/// Protects reproducibility: neither the number of threads nor the number of prepared batches changes the batches.
#[test]
fn batches_do_not_depend_on_threads() {
    let folder = seven();
    let expected = batches(&folder, LoaderOptions { threads: 1, prefetch: 1, ..options() }, 10);
    for (threads, prefetch) in [(2, 0), (3, 7), (5, 2)] {
        assert_eq!(batches(&folder, LoaderOptions { threads, prefetch, ..options() }, 10), expected);
    }
}

/// Protects resuming: a run that starts at a step gets the same batches as an uninterrupted run from there.
#[test]
fn batches_follow_from_the_step() {
    let folder = seven();
    let unbroken = batches(&folder, options(), 12);
    for start in [1, 3, 7] {
        let resumed = batches(&folder, LoaderOptions { start_step: start as u64, threads: 3, ..options() }, 4);
        assert_eq!(resumed, unbroken[start..start + 4], "from step {start}");
    }
}

/// Protects shapes and epochs: three batches per epoch, no image twice in one, new crops in each.
#[test]
fn epochs_are_shuffled_and_complete() {
    let folder = seven();
    let loader = Loader::new(Arc::new(folder.open().unwrap()), options()).unwrap();
    assert_eq!(loader.steps_per_epoch(), 3);
    let batches = batches(&folder, options(), 12);
    for batch in &batches {
        assert_eq!((batch.images.len(), batch.tags.len(), batch.boxes.len(), batch.ids.len()), (2 * 3 * 64, 4, 8, 2));
        assert_eq!(batch.tags, [1.0, 0.0, 1.0, 0.0]);
    }
    let epochs: Vec<Vec<&String>> =
        batches.chunks(3).map(|epoch| epoch.iter().flat_map(|batch| &batch.ids).collect()).collect();
    for epoch in &epochs {
        let distinct: std::collections::BTreeSet<_> = epoch.iter().collect();
        assert_eq!(distinct.len(), 6);
    }
    assert_ne!(epochs[0], epochs[1], "each epoch has its own order");
    assert_ne!(batches[..3], self::batches(&folder, LoaderOptions { seed: 6, ..options() }, 3), "each seed its own");
}

#[test]
fn a_data_set_smaller_than_a_batch_is_refused() {
    let dataset = Arc::new(seven().open().unwrap());
    let refusal = message(Loader::new(dataset, LoaderOptions { batch: 8, ..options() }));
    assert_names(&refusal, &["`train`", "7 images", "needs 8", "smaller batch"]);
}

#[test]
fn options_of_zero_are_refused() {
    let dataset = Arc::new(seven().open().unwrap());
    for (key, options) in [
        ("batch", LoaderOptions { batch: 0, ..options() }),
        ("crop", LoaderOptions { crop: 0, ..options() }),
        ("threads", LoaderOptions { threads: 0, ..options() }),
    ] {
        assert_names(&message(Loader::new(dataset.clone(), options)), &[key, "is 0", "1 or more"]);
    }
}

/// Protects: an error in a background thread reaches the training run, and later calls fail too.
#[test]
fn a_broken_image_reaches_the_caller() {
    let folder = seven();
    let dataset = Arc::new(folder.open().unwrap());
    folder.write("JPEGImages/d.png", "no image");
    let mut loader = Loader::new(dataset, LoaderOptions { batch: 7, threads: 3, ..options() }).unwrap();
    assert_names(&message(loader.next()), &["JPEGImages/d.png", "does not decode"]);
    assert_names(&message(loader.next()), &["stopped after an error"]);
}

/// Protects the end of a run: dropping a loader returns, whether its threads wait or work.
#[test]
fn dropping_a_loader_ends_its_threads() {
    let folder = seven();
    let dataset = Arc::new(folder.open().unwrap());
    for taken in [0, 1, 5] {
        let mut loader = Loader::new(dataset.clone(), LoaderOptions { threads: 4, prefetch: 9, ..options() }).unwrap();
        for _ in 0..taken {
            loader.next().unwrap();
        }
        drop(loader);
        assert_eq!(Arc::strong_count(&dataset), 1, "no thread holds the data set any more");
    }
}

/// Protects `data.balance`: of seven images one has the rare tag, which half of the images of an epoch have then; batches
/// do not depend on threads or on the step of a resume, and an image that comes again has another crop.
#[test]
fn rare_classes_are_seen_alike() {
    let folder = seven();
    let tags: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|id| format!(r#""{id}": ["cat"]"#)).into();
    folder.write(
        "labels.json",
        format!(r#"{{"classes": ["cat", "dog"], "tags": {{{}, "g": ["dog"]}}}}"#, tags.join(", ")),
    );
    let balanced = LoaderOptions { balance: true, ..options() };
    let unbroken = batches(&folder, balanced.clone(), 9);
    for epoch in unbroken.chunks(3) {
        let rare = epoch.iter().flat_map(|batch| &batch.ids).filter(|id| *id == "g").count();
        assert_eq!(rare, 3, "of six");
        let crops = epoch.iter().flat_map(|batch| batch.images.chunks(3 * 64).zip(&batch.ids));
        let mut rare: Vec<&[u8]> = crops.filter(|(_, id)| *id == "g").map(|(crop, _)| crop).collect();
        rare.sort_unstable();
        rare.dedup();
        assert!(rare.len() > 1, "the same crop three times");
    }
    for (start_step, threads) in [(0, 1), (2, 3), (5, 2)] {
        let resumed = batches(&folder, LoaderOptions { start_step, threads, ..balanced.clone() }, 3);
        assert_eq!(resumed, unbroken[start_step as usize..][..3]);
    }
}
