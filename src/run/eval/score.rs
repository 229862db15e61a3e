//! Scores of both branches on a data set (method.md 9.1 to 9.3).

use std::path::PathBuf;

use super::canvas::{cut, padded};
use super::checkpoint::opened;
use super::gallery::{Gallery, Item};
use super::metrics::{Confusion, multilabel_f1};
use super::model::{MapValues, Model, Seen, View};
use super::request::{Request, Tags};
use crate::data::tags::numbered_classes;
use crate::data::{Dataset, DatasetOptions, Follow, Mask, Rgb8};
use crate::engine::gpu::DeviceChoice;
use crate::error::{Error, Result};
use crate::method::{MapInfo, Methods, Protocol};
use crate::parts::crf::DenseCrf;
use crate::run::device;
use crate::run::record::{LabelScores, MapScores, Scores};

/// Pixels per batch; small images are batched.
const PIXELS: usize = 16 * 128 * 128;

/// A data set being scored, a batch of images at a time: call [`Scoring::advance`] until it returns 0.
pub struct Scoring<'a> {
    model: &'a Model,
    dataset: &'a Dataset,
    request: Request,
    crf: Option<DenseCrf>,
    /// Groups that share a view are adjacent.
    groups: std::vec::IntoIter<Group>,
    view: Option<View>,
    gallery: Option<&'a mut Gallery>,
    tally: Tally,
}

/// Images that are padded to one size and form a batch.
struct Group {
    /// The size to which they are padded.
    canvas: [usize; 2],
    /// Batch size of the view; the group may be smaller.
    batch: usize,
    /// Their positions in the data set.
    images: Vec<usize>,
}

/// An image with its truth.
struct Example {
    index: usize,
    image: Rgb8,
    truth: Mask,
}

/// Sums over the images seen so far.
struct Tally {
    classes: usize,
    /// In the order of tables.
    maps: Vec<(MapInfo, Confusion)>,
    f1: f64,
    images: usize,
}

/// The segmentation branch, one pass over the image.
const SEG: MapInfo = MapInfo::labels(Scores::SEG, "segmentation").headline();
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
        Ok(Scoring {
            model,
            dataset,
            request: Request { protocol, tags: Tags::Given(dataset.max_tags()), probabilities: crf, map: None },
            crf: crf.then(|| DenseCrf::new(model.config())),
            groups: groups(model, dataset, protocol)?.into_iter(),
            view: None,
            gallery: None,
            tally: Tally { classes, maps: Vec::new(), f1: 0.0, images: 0 },
        })
    }

    /// Adds the first images to `gallery`.
    pub fn shown_in(self, gallery: &'a mut Gallery) -> Self {
        Scoring { gallery: Some(gallery), ..self }
    }

    /// Plans the largest group, so that one that does not fit the device is an error before scoring begins.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check(&self) -> Result<()> {
        let pixels = |group: &&Group| group.batch * group.canvas[0] * group.canvas[1];
        let Some(largest) = self.groups.as_slice().iter().max_by_key(pixels) else { return Ok(()) };
        self.model.check_view(largest.batch, largest.canvas, self.request)
    }

    /// Scores the next images and returns how many; 0 when all are done.
    ///
    /// # Errors
    /// If an image or its mask is broken, or the device was lost.
    pub fn advance(&mut self) -> Result<usize> {
        let Some(Group { canvas, batch, images }) = self.groups.next() else { return Ok(0) };
        let (dataset, view) = (self.dataset, self.view.take());
        let fitting = view.filter(|view| view.batch() == batch && view.size() == canvas);
        let view = self.view.insert(fitting.map_or_else(|| self.model.view_for(batch, canvas, self.request), Ok)?);
        let group = images
            .into_iter()
            .map(|index| Ok(Example { index, image: dataset.image(index)?, truth: dataset.mask(index)? }))
            .collect::<Result<Vec<_>>>()?;
        let (mut pixels, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        // A group that is not full is padded with its first image.
        for slot in 0..batch {
            let Example { index, image, .. } = group.get(slot).unwrap_or(&group[0]);
            pixels.extend(padded(image, canvas).data);
            tags.extend_from_slice(dataset.tags(*index));
            boxes.extend([0, image.height as i32, 0, image.width as i32]);
        }
        let (seen, count) = (view.look(&pixels, &tags, &boxes)?, group.len());
        self.count(group, &seen, canvas)?;
        Ok(count)
    }

    /// Adds the results of a group to the confusion matrices.
    fn count(&mut self, group: Vec<Example>, seen: &Seen, canvas: [usize; 2]) -> Result<()> {
        let (dataset, tally) = (self.dataset, &mut self.tally);
        let foreground = dataset.classes().len();
        for (slot, Example { index, image, truth }) in group.into_iter().enumerate() {
            let own = [image.height, image.width];
            let labels = |maps: &[u8]| cut(maps, slot, canvas, own);
            let seg = labels(&seen.seg);
            tally.count(SEG, &truth, &seg);
            seen.msc.iter().for_each(|maps| tally.count(FUSED, &truth, &labels(maps)));
            if let (Some(crf), Some(maps)) = (&self.crf, &seen.probabilities) {
                let planes = slot * (foreground + 1)..(slot + 1) * (foreground + 1);
                let own: Vec<_> = planes.flat_map(|plane| cut(maps, plane, canvas, own)).collect();
                tally.count(CRF, &truth, &crf.infer(&image, &own).labels().data);
            }
            let maps: Vec<_> = seen.maps.iter().map(|map| map.of_image(slot, canvas, own)).collect();
            for map in maps.iter().filter(|map| map.info.scored) {
                if let MapValues::Labels(labels) = &map.values {
                    tally.count(map.info, &truth, labels);
                }
            }
            tally.f1 += multilabel_f1(dataset.tags(index), &seen.cls[slot * foreground..][..foreground]);
            tally.images += 1;
            if let Some(gallery) = self.gallery.as_deref_mut().filter(|gallery| gallery.has_room()) {
                let names = dataset.tags(index).iter().zip(dataset.classes()).filter(|(tag, _)| **tag > 0.5);
                let names: Vec<_> = names.map(|(_, name)| name.as_str()).collect();
                gallery.add(Item {
                    caption: format!("{}: {}", dataset.ids()[index], names.join(", ")),
                    maps: maps.into_iter().filter(|map| map.info.pictured).collect(),
                    prediction: seg,
                    image,
                    truth,
                });
            }
        }
        Ok(())
    }

    /// The scores of all images so far.
    pub fn scored(self) -> Scored {
        let Tally { classes, maps, f1, images } = self.tally;
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

/// All images of a data set in groups, see [`grouped`].
fn groups(model: &Model, dataset: &Dataset, protocol: Protocol) -> Result<Vec<Group>> {
    let canvas = |index| Ok((model.canvas_for(protocol, dataset.image_size(index)?), index));
    Ok(grouped((0..dataset.len()).map(canvas).collect::<Result<_>>()?))
}

/// Images, by the size to which they are padded and their position, in groups of one size, sorted so that groups that
/// share a view are adjacent. The groups of a size are as equal as possible, so that they share a view in which hardly
/// any place is empty.
fn grouped(mut images: Vec<([usize; 2], usize)>) -> Vec<Group> {
    images.sort_unstable();
    let mut groups = Vec::new();
    for same in images.chunk_by(|(canvas, _), (next, _)| canvas == next) {
        let canvas = same[0].0;
        let most = (PIXELS / (canvas[0] * canvas[1])).clamp(1, 16);
        let batch = same.len().div_ceil(same.len().div_ceil(most));
        let group = |images: &[(_, usize)]| images.iter().map(|(_, index)| *index).collect();
        groups.extend(same.chunks(batch).map(|images| Group { canvas, batch, images: group(images) }));
    }
    groups
}

impl LabelScores {
    fn of(confusion: &Confusion) -> Self {
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
    let expected = DatasetOptions {
        classes: Some(checkpoint.classes.clone()),
        upright: checkpoint.config.data_upright,
        form: checkpoint.config.data_form,
    };
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
fn check_classes(own: &[String], dataset: &Dataset) -> Result<()> {
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
    Err(Error::data(dataset.root(), reason, "score the network on data with the classes it was trained on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects the time of an evaluation: a view is not filled with copies of an image, and the groups of a size share
    /// one view.
    #[test]
    fn groups_fill_their_views() {
        let sizes = |counts: &[usize]| -> Vec<_> {
            let sizes = counts.iter().zip(1..).flat_map(|(count, size)| vec![[64, 64 + size]; *count]);
            sizes.zip(0..).collect()
        };
        for (counts, batches) in [
            (vec![1; 10], vec![1; 10]),
            (vec![16, 3], vec![16, 3]),
            (vec![17], vec![9; 2]),
            (vec![20, 1], vec![10, 10, 1]),
            (vec![100], vec![15; 7]),
        ] {
            let groups = grouped(sizes(&counts));
            assert_eq!(groups.iter().map(|group| group.batch).collect::<Vec<_>>(), batches, "{counts:?}");
            let places: usize = groups.iter().map(|group| group.batch).sum();
            let images: usize = counts.iter().sum();
            assert!(places - images < groups.len(), "at most one empty place a group");
            let mut seen: Vec<_> = groups.into_iter().flat_map(|group| group.images).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..images));
        }
        let large = grouped(vec![([512, 1024], 0), ([512, 1024], 1)]);
        assert_eq!(large.iter().map(|group| group.batch).collect::<Vec<_>>(), [1, 1], "memory is limited");
    }
}
