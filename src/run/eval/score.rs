//! Scores of both branches on a data set (method.md 9.1 to 9.3).

use std::path::PathBuf;

use super::batches::{Batch, Batches};
use super::checkpoint::opened;
use super::gallery::{Gallery, Item};
use super::metrics::{Confusion, multilabel_f1};
use super::model::{MapValues, Model};
use super::refine::Refiner;
use super::request::{Maps, Request, Tags};
use crate::data::tags::numbered_classes;
use crate::data::{Dataset, DatasetOptions, Follow, Mask};
use crate::engine::gpu::DeviceChoice;
use crate::engine::ranks::World;
use crate::error::{Error, Result};
use crate::method::{MapInfo, Methods, Protocol};
use crate::run::device;
use crate::run::record::{LabelScores, MapScores, Scores};

/// A data set being scored, a batch of images at a time: call [`Scoring::advance`] until it returns 0.
pub struct Scoring<'a> {
    dataset: &'a Dataset,
    batches: Batches<'a>,
    crf: Option<Refiner<'a>>,
    gallery: Option<&'a mut Gallery>,
    tally: Tally,
}

/// Sums over the images seen so far.
struct Tally {
    classes: usize,
    /// In the order of tables.
    maps: Vec<(MapInfo, Confusion)>,
    /// F1 of each image's tags, by its number in the order of scoring.
    f1: Vec<(usize, f64)>,
}

/// The segmentation branch, one pass over the image.
pub(super) const SEG: MapInfo = MapInfo::labels(Scores::SEG, "segmentation").headline();
/// The segmentation branch, fused over scales and mirror images.
const FUSED: MapInfo = MapInfo::labels("msc", "fused").scored();
/// The best of these, refined by the dense CRF.
const CRF: MapInfo = MapInfo::labels("crf", "+ CRF").scored();

impl Tally {
    /// Counts the labels of an image.
    fn count(&mut self, map: MapInfo, truth: &Mask, labels: &[u8]) {
        let known = self.maps.iter().position(|(known, _)| known.name == map.name).unwrap_or_else(|| {
            self.maps.push((map, Confusion::new(self.classes)));
            self.maps.len() - 1
        });
        let (_, confusion) = &mut self.maps[known];
        confusion.add(&truth.data, labels);
    }
}

impl<'a> Scoring<'a> {
    /// Starts scoring `dataset`. With `crf`, the segmentation is also scored after the dense CRF.
    ///
    /// # Errors
    /// If an image's header cannot be read.
    pub fn new(model: &'a Model, dataset: &'a Dataset, protocol: Protocol, crf: bool) -> Result<Self> {
        let classes = model.classes().len() + 1;
        let request = Request { protocol, tags: Tags::Given(dataset.max_tags()), probabilities: crf, maps: Maps::All };
        Ok(Scoring {
            dataset,
            batches: Batches::new(model, dataset, request)?,
            crf: crf.then(|| Refiner::new(model.config())),
            gallery: None,
            tally: Tally { classes, maps: Vec::new(), f1: Vec::new() },
        })
    }

    /// Adds the first images to `gallery`.
    pub fn shown_in(self, gallery: &'a mut Gallery) -> Self {
        Scoring { gallery: Some(gallery), ..self }
    }

    /// Leaves to this rank its share of the images: the first ones, which are shown, to the first rank.
    pub fn dealt(self, world: &World) -> Self {
        let shown = self.gallery.as_ref().map_or(0, |gallery| gallery.wanted());
        Scoring { batches: self.batches.dealt(world, shown), ..self }
    }

    /// Adds the counts of all ranks to those of the first. They are integers: the scores are those of one process.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    pub fn together(mut self, world: &World) -> Result<Self> {
        if !world.is_shared() {
            return Ok(self);
        }
        let Tally { maps, f1, .. } = &mut self.tally;
        let counts: Vec<_> = maps.iter().map(|(info, confusion)| (info.name, &confusion.counts)).collect();
        let tags: Vec<_> = f1.iter().map(|(number, f1)| (number, f1.to_bits())).collect();
        let failed = |error: serde_json::Error| Error::Graph(format!("scores cannot be exchanged: {error}"));
        let message = serde_json::to_vec(&(counts, tags)).map_err(failed)?;
        for (rank, message) in world.gather(&message)?.iter().enumerate().filter(|(rank, _)| *rank != world.rank()) {
            type Sent = (Vec<(String, Vec<u64>)>, Vec<(usize, u64)>);
            let (counts, tags): Sent = serde_json::from_slice(message).map_err(failed)?;
            for (name, counts) in counts {
                match maps.iter_mut().find(|(info, _)| info.name == name) {
                    Some((_, own)) => own.merge(&Confusion { classes: own.classes, counts }),
                    None if world.is_first() => {
                        return Err(Error::Graph(format!("rank {rank} scored map `{name}`, rank 0 did not")));
                    }
                    None => {}
                }
            }
            f1.extend(tags.into_iter().map(|(number, f1)| (number, f64::from_bits(f1))));
        }
        f1.sort_by_key(|(number, _)| *number);
        Ok(self)
    }

    /// Plans the largest group, so that one that does not fit the device is an error before scoring begins.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check(&self) -> Result<()> {
        self.batches.check()
    }

    /// Scores the next images and returns how many; 0 when all are done.
    ///
    /// # Errors
    /// If an image or its mask is broken, or the device was lost.
    pub fn advance(&mut self) -> Result<usize> {
        let Some(batch) = self.batches.advance()? else { return Ok(0) };
        let count = batch.images.len();
        self.count(batch)?;
        Ok(count)
    }

    /// Adds the results of a batch to the confusion matrices.
    fn count(&mut self, batch: Batch) -> Result<()> {
        let (dataset, tally) = (self.dataset, &mut self.tally);
        let foreground = dataset.classes().len();
        for (slot, (index, image)) in batch.images.iter().enumerate() {
            let truth = dataset.mask(*index)?;
            let seg = batch.cut(&batch.seen.seg, slot);
            tally.count(SEG, &truth, &seg);
            batch.seen.msc.iter().for_each(|maps| tally.count(FUSED, &truth, &batch.cut(maps, slot)));
            if let (Some(crf), Some(own)) = (&self.crf, batch.probabilities(slot, foreground + 1, 0..=foreground)) {
                tally.count(CRF, &truth, &crf.segmentation(image, own).data);
            }
            let maps = batch.maps(slot);
            for map in maps.iter().filter(|map| map.info.scored) {
                if let MapValues::Labels(labels) = &map.values {
                    tally.count(map.info, &truth, labels);
                }
            }
            let tags = dataset.tags(*index);
            let f1 = multilabel_f1(tags, &batch.seen.cls[slot * foreground..][..foreground]);
            tally.f1.push((batch.before + slot, f1));
            if let Some(gallery) = self.gallery.as_deref_mut().filter(|gallery| gallery.has_room()) {
                let names = tags.iter().zip(dataset.classes()).filter(|(tag, _)| **tag > 0.5);
                let names: Vec<_> = names.map(|(_, name)| name.as_str()).collect();
                gallery.add(Item {
                    caption: format!("{}: {}", dataset.ids()[*index], names.join(", ")),
                    maps: maps.into_iter().filter(|map| map.info.pictured).collect(),
                    prediction: seg,
                    image: image.clone(),
                    truth,
                });
            }
        }
        Ok(())
    }

    /// The scores of all images so far.
    pub fn scored(self) -> Scored {
        let Tally { classes, maps, f1 } = self.tally;
        let (images, f1) = (f1.len(), f1.iter().fold(0.0, |sum, (_, f1)| sum + f1));
        let scored = |(info, confusion): &(MapInfo, Confusion)| MapScores {
            name: info.name.to_owned(),
            title: info.title.to_owned(),
            headline: info.headline,
            scores: LabelScores::of(confusion),
        };
        let scores = Scores { maps: maps.iter().map(scored).collect(), cls_f1: f1 / images as f64, images };
        let of = |map: MapInfo| maps.iter().find(|(known, _)| *known == map).map(|(_, confusion)| confusion.clone());
        let best = [CRF, FUSED, SEG].into_iter().find_map(of);
        Scored { scores, confusion: best.unwrap_or_else(|| Confusion::new(classes)) }
    }
}

impl LabelScores {
    pub(super) fn of(confusion: &Confusion) -> Self {
        LabelScores {
            miou: confusion.miou().unwrap_or(f64::NAN),
            iou: confusion.iou(),
            pixel_accuracy: confusion.pixel_accuracy().unwrap_or(f64::NAN),
            mean_accuracy: confusion.mean_accuracy().unwrap_or(f64::NAN),
        }
    }
}

/// The results of scoring.
pub struct Scored {
    /// All scores.
    pub scores: Scores,
    /// The matrix behind the best score of the segmentation branch: after the CRF, fused, or of one pass.
    pub confusion: Confusion,
}

/// Options of `tagseg eval`.
#[derive(Clone, Debug)]
pub struct ScoreOptions {
    /// A run's folder or a checkpoint.
    pub network: PathBuf,
    /// Data set with masks.
    pub data: PathBuf,
    /// Its split.
    pub split: String,
    /// Device, see [`device::open`].
    pub device: DeviceChoice,
    /// Whether to skip images that do not decode or have no mask.
    pub skip_broken: bool,
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// Whether to score the dense CRF too.
    pub crf: bool,
    /// Options of the evaluation to override, `key=value`.
    pub assignments: Vec<String>,
    /// Where the method of the run is found.
    pub methods: Methods,
}

/// `tagseg eval`: loads a network and scores it on a split of a data set.
///
/// # Errors
/// If the network or the data set cannot be used, or their classes differ.
pub fn score_run(options: &ScoreOptions, follow: &dyn Follow) -> Result<(Model, Scored)> {
    let checkpoint = opened(Some(&options.network), &options.assignments, &options.methods)?;
    let expected = DatasetOptions::for_model(&checkpoint.config, &checkpoint.classes);
    let mut dataset = Dataset::open(&options.data, &options.split, &expected)?;
    check_classes(&checkpoint.classes, &dataset)?;
    let model = Model::of_with(&device::open(options.device.clone())?, &checkpoint, &options.methods)?;
    dataset.check_images(options.skip_broken)?;
    if options.skip_broken {
        dataset.keep_masked()?;
    }
    dataset.check_masks()?;
    let mut scoring = Scoring::new(&model, &dataset, options.protocol, options.crf)?;
    scoring.check()?;
    for notice in &dataset.notices {
        eprintln!("{notice}");
    }
    follow.begin("scored", dataset.len());
    loop {
        match scoring.advance()? {
            0 => break,
            images => (0..images).for_each(|_| follow.file()),
        }
    }
    let scored = scoring.scored();
    if let Some(notice) = scored.scores.notice() {
        eprintln!("{notice}");
    } else if let Some(notice) = absent(&scored.confusion, model.classes()) {
        eprintln!("{notice}");
    }
    Ok((model, scored))
}

/// A notice of the classes without a pixel in any mask, if there are some: means are over the others.
fn absent(confusion: &Confusion, classes: &[String]) -> Option<String> {
    let rows = confusion.counts.chunks(confusion.classes).skip(1);
    let empty = rows.zip(classes).filter(|(row, _)| row.iter().all(|count| *count == 0));
    let names: Vec<_> = empty.map(|(_, class)| class.as_str()).collect();
    let shown: Vec<_> = names.iter().take(5).copied().collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    let all = classes.len();
    (!names.is_empty()).then(|| {
        format!(
            "{} of {all} classes are in no mask ({}{more}); means are over the others",
            names.len(),
            shown.join(", ")
        )
    })
}

/// Refuses data whose class names differ from the network's; if either has no names, only the numbers are compared.
pub(super) fn check_classes(own: &[String], dataset: &Dataset) -> Result<()> {
    let theirs = dataset.classes();
    let numbered = numbered_classes(own.len());
    if own == theirs || own == numbered || theirs == numbered {
        return Ok(());
    }
    let differing = own.iter().zip(theirs).zip(1..).find(|((own, theirs), _)| own != theirs);
    let reason = differing.map_or_else(
        || format!("has {} classes, the network has {}", theirs.len(), own.len()),
        |((own, theirs), number)| format!("class {number} is `{theirs}` in the data and `{own}` in the network"),
    );
    Err(Error::data(dataset.root(), reason, "use data with the classes that the network was trained on"))
}
