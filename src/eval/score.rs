//! Scores of both branches on a data set (spec 9.1 to 9.3).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::canvas::{cut, padded};
use super::crf::DenseCrf;
use super::gallery::{Gallery, Item};
use super::metrics::{Confusion, multilabel_f1};
use super::model::{Model, Seen, View};
use super::request::{Protocol, Request, Tags};
use crate::data::tags::numbered_classes;
use crate::data::{Dataset, DatasetOptions, Mask, Rgb8, normalise};
use crate::error::{Error, Result};
use crate::gpu::DeviceChoice;
use crate::report::{LabelScores, Scores};

/// Pixels looked at together; small images go in batches.
const PIXELS: usize = 16 * 128 * 128;
/// Prepared sizes that are kept.
const KEPT_VIEWS: usize = 4;

/// Scores a model; keeps what it prepared for each image size.
pub struct Scorer<'a> {
    model: &'a Model,
    protocol: Protocol,
    crf: Option<DenseCrf>,
    views: Vec<View>,
}

/// Images of `size` looked at together.
fn batch_of([height, width]: [usize; 2], dataset: &Dataset) -> usize {
    (PIXELS / (height * width)).clamp(1, 16).min(dataset.len())
}

/// One image waiting for its batch.
struct Waiting {
    index: usize,
    image: Rgb8,
    mask: Mask,
}

/// Sums over the images seen so far.
struct Tally {
    classes: usize,
    kinds: BTreeMap<Kind, Confusion>,
    f1: f64,
    images: usize,
}

/// The kinds of labels that are scored; of those of the segmentation branch the best comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Seg,
    Msc,
    Crf,
    Cam,
    Par,
    Afa,
    YC,
}

impl<'a> Scorer<'a> {
    /// A scorer of `model` by the procedure of validation during training.
    pub fn new(model: &'a Model) -> Self {
        Scorer::by(model, Protocol::Train, false)
    }

    /// A scorer of `model` by a procedure; with `crf` the segmentation is scored once more after the dense CRF.
    pub fn by(model: &'a Model, protocol: Protocol, crf: bool) -> Self {
        let crf = crf.then(|| DenseCrf::new(model.config()));
        Scorer { model, protocol, crf, views: Vec::new() }
    }

    fn request(&self, dataset: &Dataset) -> Request {
        Request { protocol: self.protocol, tags: Tags::Given(dataset.max_tags()), probabilities: self.crf.is_some() }
    }

    /// Plans for the largest image of `dataset`, so that one too large for the device shows before it is its turn.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check(&self, dataset: &Dataset) -> Result<()> {
        let sizes = (0..dataset.len()).map(|index| dataset.image_size(index)).collect::<Result<Vec<_>>>()?;
        let Some(own) = sizes.into_iter().max_by_key(|[height, width]| height * width) else { return Ok(()) };
        let size = self.model.canvas_for(self.protocol, own);
        self.model.check_view(batch_of(own, dataset), size, self.request(dataset))
    }

    /// Scores the segmentation, the seeds and Y_c of all images of `dataset`, and hangs the first ones into `gallery`.
    ///
    /// # Errors
    /// If the data set has other classes or no masks, an image or mask is broken, or the device was lost.
    pub fn score(&mut self, dataset: &Dataset, gallery: Option<&mut Gallery>) -> Result<Scores> {
        let scored = self.score_until(dataset, gallery, &|| false)?;
        scored
            .map(|scored| scored.scores)
            .ok_or_else(|| Error::Graph("the evaluation was stopped, and nobody asked for that".into()))
    }

    /// Scores like [`Scorer::score`], unless `stop` becomes true on the way: then there are none.
    ///
    /// # Errors
    /// As [`Scorer::score`].
    pub fn score_until(
        &mut self,
        dataset: &Dataset,
        mut gallery: Option<&mut Gallery>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Scored>> {
        let classes = self.model.classes().len() + 1;
        let mut tally = Tally { classes, kinds: BTreeMap::new(), f1: 0.0, images: 0 };
        // Images of one size come together: what is prepared for a size is prepared once.
        let mut order =
            (0..dataset.len()).map(|index| Ok((dataset.image_size(index)?, index))).collect::<Result<Vec<_>>>()?;
        order.sort_unstable();
        let mut waiting: BTreeMap<(usize, usize), Vec<Waiting>> = BTreeMap::new();
        for (_, index) in order {
            if stop() {
                return Ok(None);
            }
            let (image, mask) = (dataset.image(index)?, dataset.mask(index)?);
            let size = (image.height, image.width);
            let batch = batch_of([size.0, size.1], dataset);
            let group = waiting.entry(size).or_default();
            group.push(Waiting { index, image, mask });
            if group.len() == batch {
                let group = std::mem::take(group);
                self.look_at(dataset, group, batch, &mut tally, gallery.as_deref_mut())?;
            }
        }
        for (size, group) in waiting.into_iter().filter(|(_, group)| !group.is_empty()) {
            let batch = batch_of([size.0, size.1], dataset);
            self.look_at(dataset, group, batch, &mut tally, gallery.as_deref_mut())?;
        }
        Ok(Some(tally.scored()))
    }

    fn look_at(
        &mut self,
        dataset: &Dataset,
        group: Vec<Waiting>,
        batch: usize,
        tally: &mut Tally,
        gallery: Option<&mut Gallery>,
    ) -> Result<()> {
        let [height, width] = [group[0].image.height, group[0].image.width];
        let size = self.model.canvas_for(self.protocol, [height, width]);
        let foreground = self.model.classes().len();
        let (mut images, mut tags, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        // A last group that is not full is filled up with its first image.
        for slot in 0..batch {
            let item = group.get(slot).unwrap_or(&group[0]);
            images.extend(normalise(&padded(&item.image, size)));
            tags.extend_from_slice(dataset.tags(item.index));
            boxes.extend([0, height as i32, 0, width as i32]);
        }
        debug_assert_eq!(tags.len(), batch * foreground);
        let request = self.request(dataset);
        let seen = self.view(batch, size, request)?.look(&images, &tags, &boxes)?;
        tally.add(dataset, group, &seen, size, self.crf.as_ref(), gallery)
    }

    fn view(&mut self, batch: usize, size: [usize; 2], request: Request) -> Result<&mut View> {
        let known = self.views.iter().position(|view| view.batch() == batch && view.size() == size);
        let view = match known {
            Some(position) => self.views.remove(position),
            None => {
                self.views.truncate(KEPT_VIEWS - 1);
                self.model.view_for(batch, size, request)?
            }
        };
        self.views.insert(0, view);
        Ok(&mut self.views[0])
    }
}

impl Tally {
    fn add(
        &mut self,
        dataset: &Dataset,
        group: Vec<Waiting>,
        seen: &Seen,
        size: [usize; 2],
        crf: Option<&DenseCrf>,
        mut gallery: Option<&mut Gallery>,
    ) -> Result<()> {
        let Some(tagged) = &seen.tagged else { return Err(Error::Graph("scores need a view with tags".into())) };
        let foreground = dataset.classes().len();
        for (slot, Waiting { index, image, mask }) in group.into_iter().enumerate() {
            let own = [image.height, image.width];
            let labels = |maps: &[u8]| cut(maps, slot, size, own);
            let (seg, y_c) = (labels(&seen.seg), labels(&tagged.y_c));
            let mut count = |kind: Kind, labels: &[u8]| {
                let confusion = self.kinds.entry(kind).or_insert_with(|| Confusion::new(self.classes));
                confusion.add(&mask.data, labels);
            };
            count(Kind::Seg, &seg);
            count(Kind::Cam, &labels(&tagged.seeds));
            count(Kind::Afa, &labels(&tagged.afa));
            count(Kind::YC, &y_c);
            seen.msc.iter().for_each(|maps| count(Kind::Msc, &labels(maps)));
            tagged.par.iter().for_each(|maps| count(Kind::Par, &labels(maps)));
            if let (Some(crf), Some(maps)) = (crf, &seen.probabilities) {
                let planes = slot * (foreground + 1)..(slot + 1) * (foreground + 1);
                let own: Vec<_> = planes.flat_map(|plane| cut(maps, plane, size, own)).collect();
                count(Kind::Crf, &crf.infer(&image, &own).labels().data);
            }
            self.f1 += multilabel_f1(dataset.tags(index), &seen.cls[slot * foreground..][..foreground]);
            self.images += 1;
            if let Some(gallery) = gallery.as_deref_mut().filter(|gallery| gallery.has_room()) {
                let names = dataset.tags(index).iter().zip(dataset.classes()).filter(|(tag, _)| **tag > 0.5);
                let names: Vec<_> = names.map(|(_, name)| name.as_str()).collect();
                gallery.add(Item {
                    caption: format!("{}: {}", dataset.ids()[index], names.join(", ")),
                    seed: cut(&tagged.cams, slot, size, own),
                    y_s: labels(&tagged.y_s),
                    prediction: seg,
                    image,
                    y_c,
                    truth: mask,
                });
            }
        }
        Ok(())
    }

    fn scored(mut self) -> Scored {
        let labels = |kind: Kind| self.kinds.get(&kind).map(LabelScores::of);
        let always = |kind: Kind| labels(kind).unwrap_or_default();
        let scores = Scores {
            seg: always(Kind::Seg),
            msc: labels(Kind::Msc),
            crf: labels(Kind::Crf),
            cam: always(Kind::Cam),
            par: labels(Kind::Par),
            afa: labels(Kind::Afa),
            y_c: always(Kind::YC),
            cls_f1: self.f1 / self.images.max(1) as f64,
            images: self.images,
        };
        let best = [Kind::Crf, Kind::Msc, Kind::Seg].into_iter().find_map(|kind| self.kinds.remove(&kind));
        Scored { scores, confusion: best.unwrap_or_else(|| Confusion::new(self.classes)) }
    }
}

impl LabelScores {
    fn of(confusion: &Confusion) -> Self {
        LabelScores {
            miou: confusion.miou().unwrap_or(0.0),
            iou: confusion.iou(),
            pixel_accuracy: confusion.pixel_accuracy().unwrap_or(0.0),
            mean_accuracy: confusion.mean_accuracy().unwrap_or(0.0),
        }
    }
}

/// What scoring gives.
pub struct Scored {
    /// All scores.
    pub scores: Scores,
    /// The matrix behind the best score of the segmentation branch: after the CRF, fused, or of one pass.
    pub confusion: Confusion,
}

/// What `tagseg eval` needs.
#[derive(Clone, Debug)]
pub struct ScoreOptions {
    /// A run's folder or a checkpoint.
    pub network: PathBuf,
    /// Data set with masks.
    pub data: PathBuf,
    /// Its split.
    pub split: String,
    /// Device, see [`crate::Session::open`].
    pub device: DeviceChoice,
    /// Whether to leave out images that do not decode.
    pub skip_broken: bool,
    /// The procedure.
    pub protocol: Protocol,
    /// Whether to score the dense CRF too.
    pub crf: bool,
    /// Options of the evaluation that differ from the run's, `key=value`.
    pub assignments: Vec<String>,
}

/// `tagseg eval`: loads a network and scores it on a split of a data set. `follow` hears of the number of images and,
/// once before each, of the number done.
///
/// # Errors
/// If the network or the data set cannot be used, or they do not fit each other.
pub fn score_run(options: &ScoreOptions, follow: &dyn Fn(usize, usize)) -> Result<(Model, Scored)> {
    let mut model = Model::load(&options.network, options.device.clone())?;
    options.assignments.iter().try_for_each(|assignment| model.set(assignment))?;
    let expected = DatasetOptions { classes: Some(model.classes().to_vec()) };
    let mut dataset = Dataset::open(&options.data, &options.split, &expected)?;
    dataset.check_images(options.skip_broken)?;
    dataset.check_masks()?;
    check_classes(&model, &dataset)?;
    let mut scorer = Scorer::by(&model, options.protocol, options.crf);
    scorer.check(&dataset)?;
    for notice in &dataset.notices {
        eprintln!("{notice}");
    }
    let done = std::cell::Cell::new(0);
    let scored = scorer.score_until(&dataset, None, &|| {
        follow(done.replace(done.get() + 1), dataset.len());
        false
    })?;
    let scored = scored.ok_or_else(|| Error::Graph("the evaluation was stopped, and nobody asked for that".into()))?;
    Ok((model, scored))
}

/// Refuses data whose classes bear other names than the network's; where either has no names, the number decides.
fn check_classes(model: &Model, dataset: &Dataset) -> Result<()> {
    let (own, theirs) = (model.classes(), dataset.classes());
    let numbered = numbered_classes(own.len());
    if own == theirs || own == numbered || theirs == numbered {
        return Ok(());
    }
    let differing = own.iter().zip(theirs).zip(1..).find(|((own, theirs), _)| own != theirs);
    let reason = differing.map_or_else(
        || format!("has {} classes, the network {}", theirs.len(), own.len()),
        |((own, theirs), number)| format!("class {number} is `{theirs}` here and `{own}` in the network"),
    );
    Err(Error::data(dataset.root(), reason, "score the network on data with the classes it was trained on"))
}
