//! Scores of masks and tags (method.md 9.1).

use crate::data::tags::VOID;

/// Pixel counts by true and predicted class, summed over a data set. Scores are computed from the sums and never
/// averaged over images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Number of classes with background, K + 1.
    pub classes: usize,
    /// `[classes, classes]`: rows are true classes, columns predicted ones.
    pub counts: Vec<u64>,
}

impl Confusion {
    /// An empty matrix. `classes` is K + 1.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts the pixels of one image whose truth is a class; void (255) and other values are ignored.
    ///
    /// # Panics
    ///
    /// If the two differ in length, or the prediction of a counted pixel is not a class.
    pub fn add(&mut self, truth: &[u8], prediction: &[u8]) {
        self.count(truth, prediction, false);
    }

    /// Like [`add`](Self::add), for pseudo labels: pixels where they are 255 (no decision) are ignored too.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add).
    pub fn add_pseudo_label(&mut self, truth: &[u8], pseudo_label: &[u8]) {
        self.count(truth, pseudo_label, true);
    }

    fn count(&mut self, truth: &[u8], prediction: &[u8], skip_void: bool) {
        assert_eq!(truth.len(), prediction.len(), "truth and prediction have one value per pixel");
        for (&truth, &prediction) in truth.iter().zip(prediction) {
            if usize::from(truth) >= self.classes || (skip_void && prediction == VOID) {
                continue;
            }
            assert!(usize::from(prediction) < self.classes, "{prediction} is not one of {} classes", self.classes);
            self.counts[usize::from(truth) * self.classes + usize::from(prediction)] += 1;
        }
    }

    /// Adds the counts of another matrix of as many classes.
    ///
    /// # Panics
    ///
    /// If the number of classes differs.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "both matrices have the same classes");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Intersection over union of every class, background first; `None` where a class is in neither truth nor
    /// prediction.
    pub fn iou(&self) -> Vec<Option<f64>> {
        (0..self.classes).map(|c| ratio(self.hits(c), self.truth(c) + self.predicted(c) - self.hits(c))).collect()
    }

    /// Mean IoU over the classes that occur in the truth; `None` if no pixel was counted.
    pub fn miou(&self) -> Option<f64> {
        let shown = self.iou().into_iter().zip(0..).filter(|&(_, class)| self.truth(class) > 0);
        mean(shown.filter_map(|(iou, _)| iou))
    }

    /// Share of the counted pixels that are predicted correctly; `None` if no pixel was counted.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        ratio((0..self.classes).map(|class| self.hits(class)).sum(), self.counts.iter().sum())
    }

    /// Mean recall of the classes that occur in the truth: the share of their pixels predicted correctly; `None` if no
    /// pixel was counted.
    pub fn mean_accuracy(&self) -> Option<f64> {
        mean((0..self.classes).filter_map(|class| ratio(self.hits(class), self.truth(class))))
    }

    /// The counts as CSV: one row per true class, one column per predicted class. `names` has background first.
    pub fn to_csv(&self, names: &[String]) -> String {
        let quote = |name: &String| match name.contains([',', '"', '\n']) {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.clone(),
        };
        let head: Vec<_> = names.iter().map(quote).collect();
        let lines = head.iter().zip(self.counts.chunks(self.classes)).map(|(name, row)| {
            let counts: Vec<_> = row.iter().map(u64::to_string).collect();
            format!("{name},{}\n", counts.join(","))
        });
        format!("truth \\ prediction,{}\n{}", head.join(","), lines.collect::<String>())
    }

    fn hits(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    fn truth(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }
}

/// Binary F1 of one image's tags over the K classes: a class is predicted where its logit is above 0. 0 if the image
/// has no tag and none is predicted.
///
/// # Panics
///
/// If the two differ in length.
pub fn multilabel_f1(truth: &[f32], logits: &[f32]) -> f64 {
    assert_eq!(truth.len(), logits.len(), "truth and logits have one value per class");
    let (mut hits, mut positives) = (0, 0);
    for (&truth, &logit) in truth.iter().zip(logits) {
        hits += u64::from(truth > 0.0 && logit > 0.0);
        positives += u64::from(truth > 0.0) + u64::from(logit > 0.0);
    }
    ratio(2 * hits, positives).unwrap_or(0.0)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four classes: 0 and 1 occur in the truth, 2 is only predicted, 3 is in neither.
    fn example() -> Confusion {
        let mut confusion = Confusion::new(4);
        confusion.add(&[0, 0, 0, 1, 1, 255], &[0, 0, 1, 1, 2, 3]);
        confusion
    }

    /// Protects the definitions of method.md 9.1, computed by hand.
    #[test]
    fn scores_of_a_small_example() {
        let confusion = example();
        assert_eq!(confusion.iou(), [Some(2.0 / 3.0), Some(1.0 / 3.0), Some(0.0), None]);
        assert_eq!(confusion.miou(), Some(0.5), "class 2 is not in the truth: it does not enter the mean");
        assert_eq!(confusion.pixel_accuracy(), Some(0.6));
        assert_eq!(confusion.mean_accuracy(), Some((2.0 / 3.0 + 0.5) / 2.0));
    }

    /// Protects the format of the file: rows of truth, columns of predictions, names with commas in quotes.
    #[test]
    fn a_matrix_as_csv() {
        let mut confusion = Confusion::new(2);
        confusion.add(&[0, 1, 1], &[0, 0, 1]);
        let names = ["background".to_owned(), "cup, mug".to_owned()];
        let csv = "truth \\ prediction,background,\"cup, mug\"\nbackground,1,0\n\"cup, mug\",1,1\n";
        assert_eq!(confusion.to_csv(&names), csv);
    }

    /// Protects the accumulation over a data set.
    #[test]
    fn merging_adds_counts() {
        let mut confusion = example();
        confusion.merge(&example());
        assert_eq!(confusion.counts.iter().sum::<u64>(), 10);
        assert_eq!(confusion.miou(), Some(0.5));
    }

    /// Protects the pseudo-label score: undecided pixels are not scored.
    #[test]
    fn undecided_pseudo_labels_do_not_count() {
        let mut confusion = Confusion::new(2);
        confusion.add_pseudo_label(&[0, 1, 1, 255], &[0, 255, 1, 0]);
        assert_eq!(confusion.counts, [1, 0, 0, 1]);
    }

    /// Protects against scoring a prediction that is not a class.
    #[test]
    #[should_panic(expected = "255 is not one of 2 classes")]
    fn void_is_not_a_prediction() {
        Confusion::new(2).add(&[0], &[255]);
    }

    /// Protects the evaluation of an empty set: no score instead of NaN.
    #[test]
    fn nothing_counted_has_no_score() {
        let confusion = Confusion::new(3);
        assert_eq!((confusion.miou(), confusion.pixel_accuracy(), confusion.mean_accuracy()), (None, None, None));
    }

    /// Protects the threshold at logit 0 and the undefined case.
    #[test]
    fn f1_of_tags() {
        assert_eq!(multilabel_f1(&[1.0, 1.0, 0.0, 0.0], &[2.0, -1.0, 0.5, 0.0]), 0.5);
        assert_eq!(multilabel_f1(&[1.0, 0.0], &[0.1, -0.1]), 1.0);
        assert_eq!(multilabel_f1(&[0.0, 0.0], &[-1.0, -1.0]), 0.0);
    }
}
