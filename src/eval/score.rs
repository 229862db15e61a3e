//! Scores of both branches on a data set (spec 9.1, 9.2).

use std::collections::BTreeMap;
use std::path::Path;

use super::canvas::{cut, padded};
use super::gallery::{Gallery, Item};
use super::metrics::{Confusion, multilabel_f1};
use super::model::{Model, Seen, View};
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
    seg: Confusion,
    cam: Confusion,
    y_c: Confusion,
    f1: f64,
    images: usize,
}

impl<'a> Scorer<'a> {
    /// A scorer of `model`.
    pub fn new(model: &'a Model) -> Self {
        Scorer { model, views: Vec::new() }
    }

    /// Plans for the largest image of `dataset`, so that one too large for the device shows before it is its turn.
    ///
    /// # Errors
    /// If the plan does not fit the device, with its bytes.
    pub fn check(&self, dataset: &Dataset) -> Result<()> {
        let sizes = (0..dataset.len()).map(|index| dataset.image_size(index)).collect::<Result<Vec<_>>>()?;
        let Some(own) = sizes.into_iter().max_by_key(|[height, width]| height * width) else { return Ok(()) };
        self.model.check_view(batch_of(own, dataset), self.model.canvas(own), Some(dataset.max_tags()))
    }

    /// Scores the segmentation, the seeds and Y_c of all images of `dataset`, and hangs the first ones into `gallery`.
    ///
    /// # Errors
    /// If the data set has other classes or no masks, an image or mask is broken, or the device was lost.
    pub fn score(&mut self, dataset: &Dataset, gallery: Option<&mut Gallery>) -> Result<Scores> {
        let scores = self.score_until(dataset, gallery, &|| false)?;
        scores.ok_or_else(|| Error::Graph("the evaluation was stopped, and nobody asked for that".into()))
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
    ) -> Result<Option<Scores>> {
        let classes = self.model.classes().len() + 1;
        let mut tally = Tally {
            seg: Confusion::new(classes),
            cam: Confusion::new(classes),
            y_c: Confusion::new(classes),
            f1: 0.0,
            images: 0,
        };
        let mut waiting: BTreeMap<(usize, usize), Vec<Waiting>> = BTreeMap::new();
        for index in 0..dataset.len() {
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
        Ok(Some(tally.scores()))
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
        let size = self.model.canvas([height, width]);
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
        let seen = self.view(batch, size, dataset.max_tags())?.look(&images, &tags, &boxes)?;
        tally.add(dataset, group, &seen, size, gallery)
    }

    fn view(&mut self, batch: usize, size: [usize; 2], max_tags: usize) -> Result<&mut View> {
        let known = self.views.iter().position(|view| view.batch() == batch && view.size() == size);
        let view = match known {
            Some(position) => self.views.remove(position),
            None => {
                self.views.truncate(KEPT_VIEWS - 1);
                self.model.view(batch, size, Some(max_tags))?
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
        mut gallery: Option<&mut Gallery>,
    ) -> Result<()> {
        let Some(tagged) = &seen.tagged else { return Err(Error::Graph("scores need a view with tags".into())) };
        let foreground = dataset.classes().len();
        for (slot, Waiting { index, image, mask }) in group.into_iter().enumerate() {
            let own = [image.height, image.width];
            let labels = |maps: &[u8]| cut(maps, slot, size, own);
            let (seg, y_c) = (labels(&seen.seg), labels(&tagged.y_c));
            self.seg.add(&mask.data, &seg);
            self.cam.add(&mask.data, &labels(&tagged.seeds));
            self.y_c.add(&mask.data, &y_c);
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

    fn scores(&self) -> Scores {
        let labels = |confusion: &Confusion| LabelScores {
            miou: confusion.miou().unwrap_or(0.0),
            iou: confusion.iou(),
            pixel_accuracy: confusion.pixel_accuracy().unwrap_or(0.0),
        };
        Scores {
            seg: labels(&self.seg),
            cam: labels(&self.cam),
            y_c: labels(&self.y_c),
            cls_f1: self.f1 / self.images.max(1) as f64,
            images: self.images,
        }
    }
}

/// `tagseg eval`: loads a network and scores it on a split of a data set.
///
/// # Errors
/// If the network or the data set cannot be used, or they do not fit each other.
pub fn score_run(
    run: &Path,
    data: &Path,
    split: &str,
    device: impl Into<DeviceChoice>,
    skip_broken: bool,
) -> Result<(Model, Scores)> {
    let model = Model::load(run, device)?;
    let options = DatasetOptions { classes: Some(model.classes().to_vec()) };
    let mut dataset = Dataset::open(data, split, &options)?;
    dataset.check_images(skip_broken)?;
    dataset.check_masks()?;
    check_classes(&model, &dataset)?;
    let mut scorer = Scorer::new(&model);
    scorer.check(&dataset)?;
    for notice in &dataset.notices {
        eprintln!("{notice}");
    }
    let scores = scorer.score(&dataset, None)?;
    Ok((model, scores))
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
