//! Scores of label maps and of tags.

use super::bench::Bench;
use crate::error::{Error, Result};
use crate::run::eval::metrics::{Confusion, multilabel_f1};
use crate::run::verify::judge::Results;

/// `evaluation_scores`: the confusion matrix of several images, the scores taken from it, and F1 of tags.
pub fn evaluation_scores(bench: &Bench<'_>, results: &mut Results) -> Result<()> {
    let case = bench.case;
    let classes = usize::from(case.constant::<u8>("classes")?);
    let mut confusion = Confusion::new(classes);
    for number in case.names().filter_map(|name| name.strip_prefix("truth")) {
        let (truth, predicted) = (format!("truth{number}"), format!("pred{number}"));
        let (truth, labels) = (labels(bench, &truth)?, labels(bench, &predicted)?);
        if labels.len() != truth.len() || labels.iter().any(|&label| usize::from(label) >= classes) {
            return Err(Error::Graph(format!("{predicted} does not have one of {classes} classes for every pixel")));
        }
        confusion.add(&truth, &labels);
    }
    let counts = confusion.counts.iter().map(|&count| count as f64).collect();
    results.set("confusion", &[classes, classes], counts);
    // The file has -1 for a score that does not exist.
    let stored = |score: Option<f64>| score.unwrap_or(-1.0);
    results.set_scalar("pixel_accuracy", stored(confusion.pixel_accuracy()));
    results.set_scalar("mean_accuracy", stored(confusion.mean_accuracy()));
    results.set_scalar("miou", stored(confusion.miou()));
    results.set("iou", &[classes], confusion.iou().into_iter().map(stored).collect());

    let (truth, predicted) = (case.reals("f1.truth")?, case.reals("f1.pred")?);
    let [images, classes] = case.extents("f1.truth")?;
    let scores = truth.chunks(classes).zip(predicted.chunks(classes));
    results.set("f1", &[images], scores.map(|(truth, logits)| multilabel_f1(truth, logits)).collect());
    Ok(())
}

/// A label map as the bytes of a mask.
fn labels(bench: &Bench<'_>, name: &str) -> Result<Vec<u8>> {
    let as_byte = |&label: &i32| {
        u8::try_from(label).map_err(|_| Error::Graph(format!("{name}: {label} is not a value of a mask")))
    };
    bench.case.integers(name)?.iter().map(as_byte).collect()
}
