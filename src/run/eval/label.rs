//! `tagseg label`: the pseudo labels of a data set, made with the tags that are given, as a data set of their own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::batches::{Batch, Batches};
use super::checkpoint::opened;
use super::metrics::Confusion;
use super::model::{MapValues, Model};
use super::predict::tag_scores;
use super::request::{Maps, Request, Tags};
use super::score::{SEG, check_classes};
use crate::data::{Dataset, DatasetOptions, Follow, Mask, Rgb8, VOID};
use crate::engine::gpu::DeviceChoice;
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::method::{MapInfo, MapKind, Methods, Protocol};
use crate::parts::crf::DenseCrf;
use crate::run::device;
use crate::run::export::{Arrangement, Export, Form, Labelled};
use crate::run::record::LabelScores;

/// Options of `tagseg label`.
#[derive(Clone, Debug)]
pub struct LabelOptions {
    /// A run's folder or a checkpoint.
    pub network: PathBuf,
    /// Data set with tags; its masks, if it has some, only score the labels.
    pub data: PathBuf,
    /// Its split; `auto` is that of training.
    pub split: String,
    /// Folder for the labels.
    pub out: PathBuf,
    /// The name or the title of a map of labels: `seg`, the segmentation branch, or one of the method; without a name, the
    /// last one that is scored.
    pub kind: Option<String>,
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// Whether the dense CRF refines the labels.
    pub crf: bool,
    /// The forms of the labels.
    pub forms: Vec<Form>,
    /// Whether to copy the images, so that the labels are a data set to train on.
    pub images: bool,
    /// Only the first images of the split.
    pub limit: Option<usize>,
    /// Whether to skip images that do not decode, and masks that cannot be read.
    pub skip_broken: bool,
    /// Whether to replace files that exist.
    pub overwrite: bool,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Options of the evaluation to override, `key=value`.
    pub assignments: Vec<String>,
    /// Where the method of the run is found.
    pub methods: Methods,
}

/// What was labelled; also written as `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct LabelSummary {
    /// The network.
    pub network: PathBuf,
    /// The data set.
    pub data: PathBuf,
    /// Its split.
    pub split: String,
    /// The name of the map: `y_c`.
    pub kind: &'static str,
    /// Its title: `Y_c`.
    pub title: &'static str,
    /// `train` or `test`.
    pub protocol: &'static str,
    /// Whether the CRF refined it.
    pub crf: bool,
    /// Number of images.
    pub images: usize,
    /// Share of all pixels that are ignored (255).
    pub ignored: f64,
    /// The classes, background first.
    pub classes: Vec<LabelledClass>,
    /// Number of images with a mask.
    pub scored: usize,
    /// Agreement with the masks in pixels that the labels decide; `None` (null) without masks.
    pub scores: Option<LabelScores>,
}

/// A class in the labels.
#[derive(Clone, Debug, Serialize)]
pub struct LabelledClass {
    /// Its name.
    pub name: String,
    /// Its value in the label files.
    pub value: usize,
    /// Images with this tag; all images for the background.
    pub tagged: usize,
    /// Images whose label has a pixel of it.
    pub images: usize,
    /// Its share of all pixels.
    pub share: f64,
}

/// The files of the result beside its forms, those of the VOC layout.
const IMAGES: &str = "JPEGImages";
const LISTS: &str = "ImageSets/Segmentation";
const TAGS: &str = "labels.json";
const SUMMARY: &str = "summary.json";

/// Labels every image of a split, and writes to `out`: the labels in all forms, by default
/// `SegmentationClassAug/ID.png` (class indices with the VOC palette, 255 = ignored),
/// `ImageSets/Segmentation/SPLIT.txt`, `labels.json` with classes and tags, and `summary.json`. With the images in
/// `JPEGImages/`, where `images` copies them, this is a data set in the VOC layout.
///
/// # Errors
/// If the network or the data set cannot be used, their classes differ, the method has no map of this name, or an
/// output file exists: checked before anything is written.
pub fn label(options: &LabelOptions, follow: &dyn Follow) -> Result<LabelSummary> {
    let checkpoint = opened(Some(&options.network), &options.assignments, &options.methods)?;
    let split = match &*options.split {
        "auto" => Dataset::train_split(&options.data, &checkpoint.config.data_train_split),
        split => split,
    };
    let expected = DatasetOptions::for_model(&checkpoint.config, &checkpoint.classes);
    let mut dataset = Dataset::open(&options.data, split, &expected)?;
    check_classes(&checkpoint.classes, &dataset)?;
    dataset.keep_first(options.limit.unwrap_or(usize::MAX));
    let mut export = Export::new(&options.out, &options.forms, Arrangement::DataSet, dataset.classes());
    check_targets(&export, &dataset, options)?;
    dataset.check_images(options.skip_broken)?;
    let mut unread = Vec::new();
    dataset.check_found_masks_reporting(follow, &mut |error| match options.skip_broken {
        true => {
            unread.push(error.what());
            Ok(())
        }
        false => Err(error),
    })?;
    let model = Model::of_with(&device::open(options.device.clone())?, &checkpoint, &options.methods)?;
    let untagged = Request { protocol: options.protocol, ..Request::default() };
    let tagged = Request { tags: Tags::Given(dataset.max_tags()), ..untagged };
    let kind = kind(&model.maps(tagged)?, options.kind.as_deref(), model.method().name())?;
    let request = match kind == SEG {
        true => Request { probabilities: true, ..untagged },
        false => Request { maps: Maps::Only(kind.name), ..tagged },
    };
    let mut batches = Batches::new(&model, &dataset, request)?;
    batches.check()?;
    dataset.notices.iter().for_each(|notice| eprintln!("{notice}"));
    unread.iter().for_each(|what| eprintln!("not scored: {what}"));

    let crf = options.crf.then(|| DenseCrf::new(model.config()));
    let (mut tally, foreground) = (Tally::new(&dataset), dataset.classes().len());
    follow.begin("labelled", dataset.len());
    while let Some(batch) = batches.advance()? {
        for (slot, (index, image)) in batch.images.iter().enumerate() {
            let classes = classes_of(&dataset, *index);
            let label = match batch.probabilities(slot, foreground + 1) {
                Some(probabilities) => segmented(image, &probabilities, &classes, crf.as_ref()),
                None => {
                    let label = Mask::new(image.height, image.width, labels(&batch, slot, kind));
                    crf.as_ref().map_or(label.clone(), |crf| crf.refine(image, &label, &classes))
                }
            };
            let scores = tag_scores(&batch.seen.cls[slot * foreground..][..foreground]);
            export.add(&Labelled {
                index: *index,
                id: &dataset.ids()[*index],
                file: &file_of(&dataset, *index),
                image,
                mask: &label,
                tag_scores: &scores,
            })?;
            if options.images {
                copy_image(&dataset, *index, &options.out)?;
            }
            tally.count(&dataset, *index, &label);
            follow.file();
        }
    }
    let summary = tally.summary(&dataset, kind, options);
    export.finish()?;
    write_lists(&dataset, &summary, &options.out)?;
    Ok(summary)
}

/// The labels of a map of image `slot`.
fn labels(batch: &Batch, slot: usize, kind: MapInfo) -> Vec<u8> {
    let map = batch.seen.maps.iter().find(|map| map.info == kind);
    match map.map(|map| &map.values) {
        Some(MapValues::Labels(labels)) => batch.cut(labels, slot),
        _ => unreachable!("the kind is one of the maps of labels that this request records"),
    }
}

/// The segmentation of an image that shows some of `classes`: the most probable of them at every pixel, the lowest of
/// ties. The `probabilities` \[K + 1, H, W\] are those of all classes.
fn segmented(image: &Rgb8, probabilities: &[f32], classes: &[u8], crf: Option<&DenseCrf>) -> Mask {
    let pixels = image.height * image.width;
    let mut own: Vec<f32> =
        classes.iter().flat_map(|&class| &probabilities[usize::from(class) * pixels..][..pixels]).copied().collect();
    if let Some(crf) = crf {
        for pixel in 0..pixels {
            let sum = own.iter().skip(pixel).step_by(pixels).sum::<f32>().max(f32::MIN_POSITIVE);
            own.iter_mut().skip(pixel).step_by(pixels).for_each(|value| *value /= sum);
        }
        return crf.labels_among(image, &own, classes);
    }
    let best = |pixel: usize| {
        let values = classes.iter().zip(own.iter().skip(pixel).step_by(pixels));
        *values.reduce(|best, other| if other.1 > best.1 { other } else { best }).expect("background is one of them").0
    };
    Mask::new(image.height, image.width, (0..pixels).map(best).collect())
}

/// The classes that an image may show: background and its tags.
fn classes_of(dataset: &Dataset, index: usize) -> Vec<u8> {
    let tagged = (1..).zip(dataset.tags(index)).filter(|(_, tag)| **tag > 0.5).map(|(class, _)| class);
    std::iter::once(0).chain(tagged).collect()
}

/// The map of labels that is called so, the segmentation or one of the method; without a name, the last one that is
/// scored.
fn kind(maps: &[MapInfo], wanted: Option<&str>, method: &str) -> Result<MapInfo> {
    let labels = || std::iter::once(&SEG).chain(maps).filter(|map| map.kind == MapKind::Labels);
    let Some(wanted) = wanted else { return Ok(labels().rfind(|map| map.scored).copied().unwrap_or(SEG)) };
    let called_so = |map: &&MapInfo| map.name == wanted || map.title.eq_ignore_ascii_case(wanted);
    labels().find(called_so).copied().ok_or_else(|| {
        let known: Vec<_> = labels().map(|map| map.name).collect();
        let reason = format!("method `{method}` makes no labels `{wanted}` here");
        Error::config("--kind", reason, format!("choose one of {}; par needs --protocol test", known.join(", ")))
    })
}

/// The name of an image's file: its id with the ending of the file.
fn file_of(dataset: &Dataset, index: usize) -> String {
    let ending = dataset.image_path(index).extension().unwrap_or_default().to_string_lossy();
    format!("{}.{ending}", dataset.ids()[index])
}

/// Where an image is copied to.
fn copy_of(dataset: &Dataset, index: usize, out: &Path) -> PathBuf {
    out.join(IMAGES).join(file_of(dataset, index))
}

/// Copies the file of an image as it is.
fn copy_image(dataset: &Dataset, index: usize, out: &Path) -> Result<()> {
    let (from, to) = (dataset.image_path(index), copy_of(dataset, index, out));
    let folder = to.parent().unwrap_or(out);
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    write_whole(&to, &std::fs::read(from).map_err(Error::io(from))?)
}

/// Refuses results that would replace other files, as [`Export::check`], and those in the folder of the data set, where
/// they would count as the truth.
fn check_targets(export: &Export, dataset: &Dataset, options: &LabelOptions) -> Result<()> {
    let out = &options.out;
    let same = |folder: &Path| matches!((folder.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(dataset.root()) {
        return Err(Error::data(out, "is the data set itself", "choose another --out, whose masks are not the truth"));
    }
    // A folder that does not exist yet is where its parent is.
    let parent = out.ancestors().skip(1).find_map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new(".").canonicalize().ok(),
        false => folder.canonicalize().ok(),
    });
    let inside = parent.zip(dataset.root().canonicalize().ok()).is_some_and(|(parent, root)| parent.starts_with(root));
    if inside && dataset.is_of_folders() {
        let reason = "is in the data set, whose folders are classes";
        return Err(Error::data(out, reason, "choose an --out beside it"));
    }
    let images = (0..dataset.len()).map(|index| (&*dataset.ids()[index], dataset.image_path(index)));
    let lists = [list_of(dataset), TAGS.into(), SUMMARY.into()].map(|file: PathBuf| out.join(file));
    let places: HashMap<_, _> = dataset.ids().iter().map(String::as_str).zip(0..).filter(|_| options.images).collect();
    let copies = |id: &str| places.get(id).map(|index| copy_of(dataset, *index, out)).into_iter().collect();
    export.check(images, copies, &lists, options.overwrite)
}

fn list_of(dataset: &Dataset) -> PathBuf {
    Path::new(LISTS).join(format!("{}.txt", dataset.split()))
}

/// Writes the list of ids, the tags and the summary, which comes last: where it is, the labels are complete.
fn write_lists(dataset: &Dataset, summary: &LabelSummary, out: &Path) -> Result<()> {
    let (folder, list) = (out.join(LISTS), out.join(list_of(dataset)));
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let ids: String = dataset.ids().iter().map(|id| format!("{id}\n")).collect();
    write_whole(&list, ids.as_bytes())?;
    let names = |index: usize| -> Vec<&str> {
        let tagged = dataset.tags(index).iter().zip(dataset.classes()).filter(|(tag, _)| **tag > 0.5);
        tagged.map(|(_, name)| name.as_str()).collect()
    };
    let tags: serde_json::Map<_, _> =
        dataset.ids().iter().zip(0..).map(|(id, index)| (id.clone(), names(index).into())).collect();
    let tags = serde_json::json!({ "classes": dataset.classes(), "tags": tags });
    write_whole(&out.join(TAGS), format!("{tags}\n").as_bytes())?;
    let text = serde_json::to_string_pretty(summary).map_err(|error| Error::Graph(error.to_string()))?;
    write_whole(&out.join(SUMMARY), format!("{text}\n").as_bytes())
}

/// Counts over the labels so far.
struct Tally {
    confusion: Confusion,
    scored: usize,
    /// Pixels by value.
    pixels: [u64; 256],
    /// Images whose label has a value.
    images: [usize; 256],
}

impl Tally {
    fn new(dataset: &Dataset) -> Self {
        let confusion = Confusion::new(dataset.classes().len() + 1);
        Tally { confusion, scored: 0, pixels: [0; 256], images: [0; 256] }
    }

    fn count(&mut self, dataset: &Dataset, index: usize, label: &Mask) {
        let counts = label.histogram();
        for (value, count) in counts.iter().enumerate() {
            self.pixels[value] += *count as u64;
            self.images[value] += usize::from(*count > 0);
        }
        // Masks that cannot be read were reported before.
        if let (true, Ok(truth)) = (dataset.has_mask(index), dataset.mask(index)) {
            self.confusion.add_pseudo_label(&truth.data, &label.data);
            self.scored += 1;
        }
    }

    fn summary(self, dataset: &Dataset, kind: MapInfo, options: &LabelOptions) -> LabelSummary {
        let all: u64 = self.pixels.iter().sum();
        let share = |value: usize| self.pixels[value] as f64 / all as f64;
        let tagged = |value: usize| match value {
            0 => dataset.len(),
            class => (0..dataset.len()).filter(|index| dataset.tags(*index)[class - 1] > 0.5).count(),
        };
        let names = std::iter::once("background").chain(dataset.classes().iter().map(String::as_str));
        let class = |(value, name): (usize, &str)| LabelledClass {
            name: name.to_owned(),
            value,
            tagged: tagged(value),
            images: self.images[value],
            share: share(value),
        };
        LabelSummary {
            network: options.network.clone(),
            data: options.data.clone(),
            split: dataset.split().to_owned(),
            kind: kind.name,
            title: kind.title,
            protocol: match options.protocol {
                Protocol::Train => "train",
                Protocol::Test => "test",
            },
            crf: options.crf,
            images: dataset.len(),
            ignored: share(usize::from(VOID)),
            classes: names.enumerate().map(|(value, name)| class((value, name))).collect(),
            scored: self.scored,
            scores: (self.scored > 0).then(|| LabelScores::of(&self.confusion)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::bmp::MAPS;
    use crate::method::maps::{AFA, CAM, PAR, SEED};

    /// Protects: the labels of a method without a name are its best ones; names and titles select others; what a method
    /// does not make is refused.
    #[test]
    fn labels_are_selected_by_name() {
        let name = |maps: &[MapInfo], wanted: Option<&str>| kind(maps, wanted, "m").map(|map| map.name);
        assert_eq!(name(&MAPS, None).unwrap(), "y_c");
        assert_eq!(name(&[SEED, CAM, PAR, AFA], None).unwrap(), "afa");
        assert_eq!(name(&MAPS, Some("seeds")).unwrap(), "cam");
        assert_eq!(name(&MAPS, Some("Y_C")).unwrap(), "y_c");
        assert_eq!(name(&MAPS, Some("y_s")).unwrap(), "y_s");
        assert_eq!(name(&MAPS, Some("segmentation")).unwrap(), "seg");
        assert_eq!(name(&[SEED], None).unwrap(), "seg");
        for (maps, wanted) in [(&MAPS[..], "seed"), (&MAPS, "best"), (&[CAM], "par")] {
            let text = name(maps, Some(wanted)).unwrap_err().to_string();
            assert!(text.contains(wanted) && text.contains("cam"), "{text}");
        }
    }
}
