//! Checks data sets: finds everything that training would refuse, and everything that a user may want to know
//! beforehand.
//!
//! Errors are found by the code with which training opens its data ([`Splits::open`]), which here
//! continues where training would stop. Warnings come from a second pass, which also reads the masks that training
//! never reads.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data::dataset::Dataset;
use crate::data::follow::Follow;
use crate::data::palette::has_other_colours;
use crate::data::splits::{SplitOptions, Splits};
use crate::data::tags::classes_shown;
use crate::error::Error;

/// An error or a warning about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, relative to the data set's folder if it is in it.
    pub file: PathBuf,
    /// What was found.
    pub reason: String,
    /// The remedy.
    pub remedy: String,
}

/// Facts about a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SplitFacts {
    /// Its name.
    pub split: String,
    /// Images that can be read.
    pub images: usize,
    /// Images without any tag.
    pub untagged: usize,
    /// Mean number of tags.
    pub tags_per_image: f64,
    /// Masks that can be read.
    pub masks: usize,
    /// Smallest and largest height, smallest and largest width.
    pub sizes: [usize; 4],
    /// Notices from opening it.
    pub notices: Vec<String>,
}

/// How often a class occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassFacts {
    /// Its name.
    pub class: String,
    /// Images with its tag, in each split; `None` for background, which is not a tag.
    pub images: Vec<Option<usize>>,
    /// Its share of the masks' pixels that are not void, in each split that has masks.
    pub pixels: Vec<Option<f64>>,
}

/// The result of [`check`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkup {
    /// Whether training would start.
    pub sound: bool,
    /// Errors, which training would refuse.
    pub errors: Vec<Finding>,
    /// Warnings, which training would accept.
    pub warnings: Vec<Finding>,
    /// The training and the validation split.
    pub splits: Vec<SplitFacts>,
    /// Background and the classes.
    pub classes: Vec<ClassFacts>,
}

/// Checks everything in a data set. `batch` is the number of images per step.
pub fn check(root: &Path, options: SplitOptions, batch: usize, follow: &dyn Follow) -> Checkup {
    let mut errors = Vec::new();
    let opened = Splits::open(root, options, follow, &mut |error| {
        errors.push(error);
        Ok(())
    });
    let mut checkup =
        Checkup { sound: true, errors: Vec::new(), warnings: Vec::new(), splits: Vec::new(), classes: Vec::new() };
    match opened {
        Ok(splits) => {
            errors.extend(splits.train.check_batch(batch).err());
            checkup.look(root, &splits, options.true_masks, follow);
        }
        Err(error) => errors.push(error),
    }
    // Both splits may read the same file of tags.
    for finding in errors.iter().map(|error| Finding::of(error, root)) {
        if !checkup.errors.contains(&finding) {
            checkup.errors.push(finding);
        }
    }
    checkup.sound = errors.is_empty();
    checkup
}

impl Finding {
    fn of(error: &Error, root: &Path) -> Self {
        let (file, reason, remedy) = match error {
            Error::Data { path, reason, remedy } => (path.as_path(), reason.clone(), remedy.clone()),
            Error::Io { path, source } => {
                (path.as_path(), source.to_string(), "check the file and the disk".to_owned())
            }
            other => (root, other.to_string(), String::new()),
        };
        Self::at(file, root, reason, remedy)
    }

    fn at(file: &Path, root: &Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        let inside = file.strip_prefix(root).ok().filter(|inside| !inside.as_os_str().is_empty());
        Finding { file: inside.unwrap_or(file).to_owned(), reason: reason.into(), remedy: remedy.into() }
    }
}

/// Facts about one image and its mask.
#[derive(Default)]
struct Look {
    size: Option<[usize; 2]>,
    /// Whether it has an EXIF orientation that is not applied.
    askew: bool,
    /// Pixels by mask value, if there is a mask.
    pixels: Option<Vec<usize>>,
    /// The mask, if its palette is not PASCAL VOC's.
    other_colours: Option<PathBuf>,
    warnings: Vec<Finding>,
}

impl Checkup {
    fn look(&mut self, root: &Path, splits: &Splits, true_masks: bool, follow: &dyn Follow) {
        let names = [vec!["background".to_owned()], splits.train.classes().to_vec()].concat();
        self.classes =
            names.into_iter().map(|class| ClassFacts { class, images: Vec::new(), pixels: Vec::new() }).collect();
        self.look_at(root, &splits.train, true_masks, follow);
        if let Some(val) = &splits.val {
            self.look_at(root, val, true, follow);
            self.warn_of_overlap(root, &splits.train, val);
            self.warn_of_missing_masks(root, val);
        }
        self.warn_of_rare_classes(root, &splits.train);
        let datasets = [Some(&splits.train), splits.val.as_ref()];
        let orphans = datasets.into_iter().flatten().flat_map(Dataset::masks_without_image).collect::<BTreeSet<_>>();
        let remedy = "add the image, or remove the mask";
        self.warnings.extend(orphans.iter().map(|mask| Finding::at(mask, root, "is a mask without an image", remedy)));
    }

    /// Counts a split and compares its tags with its masks. `judged` is true if training reads its masks too.
    fn look_at(&mut self, root: &Path, dataset: &Dataset, judged: bool, follow: &dyn Follow) {
        let looks = dataset.for_each(follow, "tags and masks", |index| look(root, dataset, index, judged));
        let sides = |side: usize| looks.iter().filter_map(move |look| Some(look.size?[side]));
        let range = |side: usize| [sides(side).min().unwrap_or(0), sides(side).max().unwrap_or(0)];
        let counts: Vec<usize> = (0..dataset.len()).map(|index| tags(dataset, index).count()).collect();
        let masks: Vec<&Vec<usize>> = looks.iter().filter_map(|look| look.pixels.as_ref()).collect();
        self.splits.push(SplitFacts {
            split: dataset.split().to_owned(),
            images: dataset.len(),
            untagged: counts.iter().filter(|count| **count == 0).count(),
            tags_per_image: counts.iter().sum::<usize>() as f64 / dataset.len() as f64,
            masks: masks.len(),
            sizes: [range(0), range(1)].concat().try_into().unwrap_or_default(),
            notices: dataset.notices.clone(),
        });
        let pixels = |value: usize| masks.iter().map(|pixels| pixels[value]).sum::<usize>();
        let all: usize = (0..self.classes.len()).map(pixels).sum();
        for (value, class) in self.classes.iter_mut().enumerate() {
            let tagged = |class: usize| (0..dataset.len()).filter(|index| dataset.tags(*index)[class] > 0.0).count();
            class.images.push(value.checked_sub(1).map(tagged));
            class.pixels.push((all > 0).then(|| pixels(value) as f64 / all as f64));
        }
        // If one mask has another palette, all have: report it once.
        let other_colours: Vec<&PathBuf> = looks.iter().filter_map(|look| look.other_colours.as_ref()).collect();
        if let Some(first) = other_colours.first() {
            let reason = format!("one of {} masks with a palette other than PASCAL VOC's", other_colours.len());
            self.warnings.push(Finding::at(
                first,
                root,
                reason,
                "no action is needed if the indices are correct: colours are not read",
            ));
        }
        let askew: Vec<usize> = (0..dataset.len()).filter(|index| looks[*index].askew).collect();
        if let Some(first) = askew.first() {
            let count = askew.len();
            let reason =
                format!("one of {count} images whose EXIF orientation is not applied, since masks would differ");
            let remedy = "set data.upright=true if there are no masks, or they are turned already";
            self.warnings.push(Finding::at(dataset.image_path(*first), root, reason, remedy));
        }
        self.warnings.extend(looks.into_iter().flat_map(|look| look.warnings));
    }

    fn warn_of_overlap(&mut self, root: &Path, train: &Dataset, val: &Dataset) {
        let learnt: HashSet<&Path> = (0..train.len()).map(|index| train.image_path(index)).collect();
        for index in (0..val.len()).filter(|index| learnt.contains(val.image_path(*index))) {
            let reason = format!("is in both `{}` and `{}`", train.split(), val.split());
            self.warnings.push(Finding::at(
                val.image_path(index),
                root,
                reason,
                "use different images for training and scoring",
            ));
        }
    }

    /// Images without masks are not scored.
    fn warn_of_missing_masks(&mut self, root: &Path, val: &Dataset) {
        let missing: Vec<usize> = (0..val.len()).filter(|index| val.mask_path(*index).is_none()).collect();
        let remedy = "add the mask: the image is not scored";
        if missing.len() == val.len() {
            let reason = format!("`{}` has no masks, so runs are not scored", val.split());
            self.warnings.push(Finding::at(root, root, reason, "add masks, if there are any"));
        } else {
            let reason = |index| format!("of `{}` has no mask: {}", val.split(), val.why_unmasked(index));
            self.warnings
                .extend(missing.iter().map(|&index| Finding::at(val.image_path(index), root, reason(index), remedy)));
        }
    }

    fn warn_of_rare_classes(&mut self, root: &Path, train: &Dataset) {
        let missing = self.classes.iter().filter(|class| class.images.first() == Some(&Some(0)));
        let reason = |class: &ClassFacts| format!("no image of `{}` has the tag `{}`", train.split(), class.class);
        let remedy = "add images of it, or remove the class";
        self.warnings.extend(missing.map(|class| Finding::at(root, root, reason(class), remedy)).collect::<Vec<_>>());
    }
}

/// The columns of an image's tags.
fn tags(dataset: &Dataset, index: usize) -> impl Iterator<Item = usize> {
    dataset.tags(index).iter().enumerate().filter(|(_, tag)| **tag > 0.0).map(|(column, _)| column)
}

fn look(root: &Path, dataset: &Dataset, index: usize, judged: bool) -> Look {
    let (size, askew) = (dataset.image_size(index).ok(), dataset.is_askew(index));
    let mut look = Look { size, askew, ..Look::default() };
    let Some(path) = dataset.mask_path(index) else { return look };
    let mask = match dataset.mask(index) {
        Ok(mask) => mask,
        // Masks that training reads have been checked already.
        Err(_) if judged => return look,
        Err(error) => {
            look.warnings.push(Finding::of(&error, root));
            return look;
        }
    };
    look.pixels = Some(mask.histogram().to_vec());
    let shown: Vec<usize> = classes_shown(&mask).into_iter().map(|value| usize::from(value) - 1).collect();
    let tagged: Vec<usize> = tags(dataset, index).collect();
    let names = |columns: &[usize], without: &[usize]| {
        let names = columns
            .iter()
            .filter(|column| !without.contains(column))
            .map(|column| format!("`{}`", dataset.classes()[*column]));
        names.collect::<Vec<_>>().join(", ")
    };
    let (untagged, unseen) = (names(&shown, &tagged), names(&tagged, &shown));
    let id = &dataset.ids()[index];
    if !untagged.is_empty() {
        let reason = format!("shows {untagged}, which `{id}` is not tagged with");
        look.warnings.push(Finding::at(&path, root, reason, "add the tag, or correct the mask"));
    }
    if !unseen.is_empty() {
        let reason = format!("does not show {unseen}, which `{id}` is tagged with");
        look.warnings.push(Finding::at(&path, root, reason, "remove the tag, or correct the mask"));
    }
    look.other_colours = has_other_colours(&path).then_some(path);
    look
}
