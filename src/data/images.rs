//! The images of a split and their masks, without tags.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::picture::{Mask, Rgb8};
use crate::data::tags::value_outside;
use crate::error::{Error, Result};

/// Where the masks of a split are. Images are numbered by their positions in the layout's list.
pub(super) trait Masks: Debug + Send + Sync {
    /// The file with the mask of the image at `place`, if there is one.
    fn path(&self, place: usize) -> Option<PathBuf>;

    /// Why the image at `place` has no mask, if that is known.
    fn why_missing(&self, _: usize) -> Option<String> {
        None
    }

    /// Reads the mask of the image at `place`, and returns it with its file.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    fn read(&self, place: usize) -> Result<(PathBuf, Mask)>;

    /// Masks without an image, sorted.
    fn without_image(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// The masks of images that have none.
#[derive(Debug)]
pub(super) struct NoMasks {
    root: PathBuf,
    why: &'static str,
}

impl NoMasks {
    /// No masks for the data set in `root`, and why.
    pub(super) fn new(root: &Path, why: &'static str) -> Self {
        NoMasks { root: root.to_owned(), why }
    }
}

impl Masks for NoMasks {
    fn path(&self, _: usize) -> Option<PathBuf> {
        None
    }

    fn why_missing(&self, _: usize) -> Option<String> {
        Some(self.why.into())
    }

    fn read(&self, _: usize) -> Result<(PathBuf, Mask)> {
        Err(Error::data(&self.root, "has no masks", "use the layout of PASCAL VOC or MS-COCO for masks"))
    }
}

/// Ids and files of a split's images.
#[derive(Clone, Debug)]
pub(super) struct Images {
    /// The folder that was opened.
    pub(super) root: PathBuf,
    /// The name of the split.
    pub(super) split: String,
    pub(super) ids: Vec<String>,
    pub(super) paths: Vec<PathBuf>,
    /// Positions in the layout's list: some images may have been dropped since.
    places: Vec<usize>,
    masks: Arc<dyn Masks>,
    /// Whether images are turned as their EXIF orientation says.
    upright: bool,
}

impl Images {
    /// The images of a split as its layout lists them; `masks` uses their positions in this list.
    pub(super) fn new(
        root: &Path,
        split: &str,
        ids: Vec<String>,
        paths: Vec<PathBuf>,
        masks: impl Masks + 'static,
    ) -> Self {
        let (root, split, places) = (root.to_owned(), split.to_owned(), (0..ids.len()).collect());
        Images { root, split, ids, paths, places, masks: Arc::new(masks), upright: false }
    }

    /// The same images; with `upright`, turned as their EXIF orientation says.
    pub(super) fn turned(self, upright: bool) -> Self {
        Images { upright, ..self }
    }

    /// Whether image `index` has an EXIF orientation that is applied.
    pub(super) fn is_turned(&self, index: usize) -> bool {
        self.upright && Rgb8::is_turned(&self.paths[index])
    }

    /// Whether image `index` has an EXIF orientation that is not applied.
    pub(super) fn is_askew(&self, index: usize) -> bool {
        !self.upright && Rgb8::is_turned(&self.paths[index])
    }

    /// Height and width of image `index`, from its header alone.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(super) fn size(&self, index: usize) -> Result<[usize; 2]> {
        let path = &self.paths[index];
        let size = if self.upright { Rgb8::read_upright_size(path) } else { Rgb8::read_size(path) };
        size.map(<[usize; 2]>::from)
    }

    /// Decodes image `index`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or does not decode.
    pub(super) fn read(&self, index: usize) -> Result<Rgb8> {
        let path = &self.paths[index];
        if self.upright { Rgb8::read_upright(path) } else { Rgb8::read(path) }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether every image has a mask.
    pub(super) fn have_masks(&self) -> bool {
        (0..self.len()).all(|index| self.mask_path(index).is_some())
    }

    /// The file with the mask of image `index`, if there is one.
    pub(super) fn mask_path(&self, index: usize) -> Option<PathBuf> {
        self.masks.path(self.places[index])
    }

    /// Why image `index` has no mask, if that is known.
    pub(super) fn why_missing(&self, index: usize) -> Option<String> {
        self.masks.why_missing(self.places[index])
    }

    /// Masks without an image, sorted.
    pub(super) fn masks_without_image(&self) -> Vec<PathBuf> {
        self.masks.without_image()
    }

    /// Reads the mask of image `index`, whose values may be 0 to `classes`, and 255.
    ///
    /// # Errors
    ///
    /// If the mask is missing or is not a mask of class indices, has an invalid value, or differs from the image in
    /// size.
    pub(super) fn mask_within(&self, index: usize, classes: usize) -> Result<Mask> {
        let (path, mask) = self.masks.read(self.places[index])?;
        if let Some(value) = value_outside(&mask, classes) {
            let reason = format!("has the value {value}, but there are {classes} classes");
            return Err(Error::data(path, reason, format!("use 0 for background, 1 to {classes}, and 255 for void")));
        }
        let [height, width] = self.size(index)?;
        if [mask.height, mask.width] != [height, width] {
            let (id, shape) = (&self.ids[index], format!("{}x{} pixels (width x height)", mask.width, mask.height));
            let reason = format!("the mask of `{id}` is {shape}, but its image is {width}x{height}");
            return Err(Error::data(path, reason, "give mask and image the same size"));
        }
        Ok(mask)
    }

    /// Keeps the images that `keep` marks.
    pub(super) fn retain(&mut self, keep: &[bool]) {
        retain_marked(&mut self.ids, keep);
        retain_marked(&mut self.paths, keep);
        retain_marked(&mut self.places, keep);
    }
}

/// Keeps the items that `keep` marks.
pub(super) fn retain_marked<T>(items: &mut Vec<T>, keep: &[bool]) {
    let mut marks = keep.iter();
    items.retain(|_| marks.next() == Some(&true));
}
