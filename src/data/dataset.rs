//! One split of a data set: ids, tags, and access to its images and masks.
//!
//! Training reads images and tags. Masks are read by evaluation, and once at opening if there are no tags.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::config::{Config, DataForm};
use crate::data::follow::Follow;
use crate::data::images::Images;
use crate::data::picture::{Mask, Rgb8};
use crate::data::tags::{OnFault, Tags};
use crate::error::{Error, Result};

/// How to open a data set.
#[derive(Clone, Debug, Default)]
pub struct DatasetOptions {
    /// The expected foreground classes, for instance those of a trained model. Without them, they follow from the data
    /// set's own names, or from the largest value in the split's masks.
    pub classes: Option<Vec<String>>,
    /// Whether images are turned as their EXIF orientation says. Without masks, a folder for each class, they always
    /// are.
    pub upright: bool,
    /// The form of the data set, which is found out if it is [`DataForm::Auto`].
    pub form: DataForm,
}

impl DatasetOptions {
    /// To use a model on a data set: its classes, and what it was configured with.
    pub fn for_model(config: &Config, classes: &[String]) -> Self {
        DatasetOptions { classes: Some(classes.to_vec()), upright: config.data_upright, form: config.data_form }
    }
}

/// The images, tags and masks of one split. Images are decoded on demand.
#[derive(Clone, Debug)]
pub struct Dataset {
    images: Images,
    tags: Tags,
    /// Notices about how the data set was read; one sentence each.
    pub notices: Vec<String>,
}

impl Dataset {
    /// The images of a split with a row of tags for each; `notices` reports how they were read.
    pub(super) fn new(images: Images, tags: Tags, notices: Vec<String>) -> Self {
        let mut dataset = Dataset { images, tags, notices };
        dataset.notice_untagged();
        dataset
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image. An opened data set has at least one.
    pub fn is_empty(&self) -> bool {
        self.images.ids.is_empty()
    }

    /// The folder that was opened.
    pub fn root(&self) -> &Path {
        &self.images.root
    }

    /// The name of the split.
    pub fn split(&self) -> &str {
        &self.images.split
    }

    /// The images' ids, in the order of the split's list.
    pub fn ids(&self) -> &[String] {
        &self.images.ids
    }

    /// Names of the K foreground classes; mask value 1 is the first.
    pub fn classes(&self) -> &[String] {
        &self.tags.classes
    }

    /// The tags of image `index`: `[K]`, 1 for a class that the image shows, else 0.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn tags(&self, index: usize) -> &[f32] {
        self.tags.row(index)
    }

    /// The largest number of tags that one image has.
    pub fn max_tags(&self) -> usize {
        let count = |index| self.tags(index).iter().filter(|&&tag| tag > 0.0).count();
        (0..self.len()).map(count).max().unwrap_or(0)
    }

    /// Decodes image `index`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or does not decode.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> Result<Rgb8> {
        self.images.read(index)
    }

    /// Height and width of image `index`, from its header alone.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image_size(&self, index: usize) -> Result<[usize; 2]> {
        self.images.size(index)
    }

    /// Whether every image of the split has a mask.
    pub fn has_masks(&self) -> bool {
        self.images.have_masks()
    }

    /// Whether image `index` has a mask.
    pub fn has_mask(&self, index: usize) -> bool {
        self.mask_path(index).is_some()
    }

    /// Keeps only the first `count` images.
    pub fn keep_first(&mut self, count: usize) {
        let keep: Vec<bool> = (0..self.len()).map(|index| index < count).collect();
        self.retain(&keep);
    }

    /// Whether image `index` has an EXIF orientation that is applied.
    pub(crate) fn is_turned(&self, index: usize) -> bool {
        self.images.is_turned(index)
    }

    /// Whether image `index` has an EXIF orientation that is not applied.
    pub(super) fn is_askew(&self, index: usize) -> bool {
        self.images.is_askew(index)
    }

    /// The file of image `index`.
    pub(crate) fn image_path(&self, index: usize) -> &Path {
        &self.images.paths[index]
    }

    /// The file with the mask of image `index`, if there is one.
    pub(crate) fn mask_path(&self, index: usize) -> Option<PathBuf> {
        self.images.mask_path(index)
    }

    /// Masks without an image.
    pub(super) fn masks_without_image(&self) -> Vec<PathBuf> {
        self.images.masks_without_image()
    }

    /// Decodes the mask of image `index`: values 0 to K, and 255 for void.
    ///
    /// # Errors
    ///
    /// If the file is missing or is not a mask of class indices, has an invalid value, or differs from the image in
    /// size.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn mask(&self, index: usize) -> Result<Mask> {
        self.images.mask_within(index, self.classes().len())
    }

    /// Decodes every image once, so that broken images are found before training. Returns the
    /// number of broken images; with `skip_broken` they are dropped, and each is named in [`notices`](Self::notices).
    ///
    /// # Errors
    ///
    /// If an image is broken and `skip_broken` is not set, or if none is left.
    pub fn check_images(&mut self, skip_broken: bool) -> Result<usize> {
        self.check_images_reporting(skip_broken, &(), &mut Err)
    }

    /// Decodes every image once like [`check_images`](Self::check_images), and drops those that are broken if
    /// `on_fault` returns `Ok`.
    ///
    /// # Errors
    ///
    /// Those of `on_fault`, or if no image is left.
    pub fn check_images_reporting(
        &mut self,
        skip_broken: bool,
        follow: &dyn Follow,
        on_fault: OnFault,
    ) -> Result<usize> {
        let faults = self.for_each(follow, "images", |index| self.image(index).err());
        let keep: Vec<bool> = faults.iter().map(Option::is_none).collect();
        let broken: Vec<Error> = faults.into_iter().flatten().collect();
        let count = broken.len();
        if count == self.len() {
            let reason = format!("none of the {count} images of split `{}` can be read", self.split());
            let folder = self.images.paths.first().and_then(|path| path.parent()).unwrap_or(self.root());
            return Err(Error::data(folder, reason, "copy the images again"));
        }
        if !skip_broken {
            broken.into_iter().try_for_each(on_fault)?;
        } else if count > 0 {
            self.notices.push(format!("skipped {count} of {} images that do not decode", self.len()));
            self.notices.extend(broken.iter().map(|error| format!("skipped {}", error.what())));
        }
        self.retain(&keep);
        Ok(count)
    }

    /// Reads every mask once, so that invalid masks are found before scoring.
    ///
    /// # Errors
    ///
    /// As [`mask`](Self::mask), for the first invalid mask.
    pub fn check_masks(&self) -> Result<()> {
        self.check_masks_reporting(&(), &mut Err)
    }

    /// Reads every mask once, and passes every error to `on_fault`.
    ///
    /// # Errors
    ///
    /// Those of `on_fault`.
    pub fn check_masks_reporting(&self, follow: &dyn Follow, on_fault: OnFault) -> Result<()> {
        let faults = self.for_each(follow, "masks", |index| self.mask(index).err());
        faults.into_iter().flatten().try_for_each(on_fault)
    }

    /// Reads every mask that there is once, and passes every error to `on_fault`.
    ///
    /// # Errors
    ///
    /// Those of `on_fault`.
    pub fn check_found_masks_reporting(&self, follow: &dyn Follow, on_fault: OnFault) -> Result<()> {
        let fault = |index| self.mask_path(index).and_then(|_| self.mask(index).err());
        self.for_each(follow, "masks", fault).into_iter().flatten().try_for_each(on_fault)
    }

    /// Checks that there are enough images for a batch.
    ///
    /// # Errors
    ///
    /// If there are not.
    pub fn check_batch(&self, batch: usize) -> Result<()> {
        if self.len() >= batch {
            return Ok(());
        }
        let reason = format!("split `{}` has {} images, but a batch needs {batch}", self.split(), self.len());
        Err(Error::data(self.root(), reason, "use a smaller batch or add images"))
    }

    /// Drops the images without a mask, which cannot be scored. One notice names the first of them.
    ///
    /// # Errors
    ///
    /// If no image is left.
    pub fn keep_masked(&mut self) -> Result<()> {
        let keep: Vec<bool> = (0..self.len()).map(|index| self.mask_path(index).is_some()).collect();
        let Some(first) = keep.iter().position(|keep| !keep) else { return Ok(()) };
        let (count, why) = (keep.iter().filter(|keep| !**keep).count(), self.why_unmasked(first));
        if count == self.len() {
            let reason = format!("no image of split `{}` has a mask, such as {why}", self.split());
            return Err(Error::data(self.root(), reason, "add SegmentationClassAug/<id>.png, or outlines"));
        }
        let (all, split) = (self.len(), self.split());
        self.notices
            .push(format!("{count} of {all} images of `{split}` have no mask and are not scored, such as {why}"));
        self.retain(&keep);
        Ok(())
    }

    /// The id of an image without a mask, with the cause if it is known.
    pub(super) fn why_unmasked(&self, index: usize) -> String {
        let id = &self.ids()[index];
        self.images.why_missing(index).map_or_else(|| format!("`{id}`"), |why| format!("`{id}` ({why})"))
    }

    /// Calls a function for every image, on all cores.
    pub(super) fn for_each<T: Send>(
        &self,
        follow: &dyn Follow,
        what: &str,
        work: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        follow.begin(&format!("{what} of {}", self.split()), self.len());
        let done = |index| {
            let result = work(index);
            follow.file();
            result
        };
        (0..self.len()).into_par_iter().map(done).collect()
    }

    fn retain(&mut self, keep: &[bool]) {
        self.tags.retain(keep);
        self.images.retain(keep);
    }

    fn notice_untagged(&mut self) {
        let untagged = (0..self.len()).filter(|&index| self.tags(index).iter().all(|&tag| tag == 0.0)).count();
        if untagged > 0 {
            self.notices.push(format!("{untagged} of {} images have no tags and count as background", self.len()));
        }
    }
}
