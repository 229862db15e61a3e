//! One split of a data set in PASCAL VOC layout (spec 8.1).
//!
//! ```text
//! JPEGImages/<id>.jpg | .jpeg | .png
//! ImageSets/Segmentation/<split>.txt          one id a line
//! SegmentationClassAug/<id>.png               masks; else SegmentationClass/
//! labels.json                                 class names and image tags
//! ```
//!
//! Training reads images and tags. Masks are read by evaluation, and once at opening when there are no tags.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::data::palette::read_index_png;
use crate::data::picture::{Mask, Rgb8};
use crate::data::tags::{Labels, MAX_CLASSES, classes_shown, numbered_classes, value_outside};
use crate::{Error, Result};

const IMAGE_FOLDER: &str = "JPEGImages";
const SPLIT_FOLDER: &str = "ImageSets/Segmentation";
const MASK_FOLDERS: [&str; 2] = ["SegmentationClassAug", "SegmentationClass"];
const LABEL_FILE: &str = "labels.json";

/// How to open a data set.
#[derive(Clone, Debug, Default)]
pub struct DatasetOptions {
    /// Number of foreground classes that is expected, for instance a trained model's. Without it the number follows
    /// from `labels.json` or, where there is none, from the largest value in the split's masks.
    pub classes: Option<usize>,
}

/// The images, tags and masks of one split. Pictures are decoded when they are asked for.
#[derive(Clone, Debug)]
pub struct Dataset {
    root: PathBuf,
    split: String,
    ids: Vec<String>,
    images: Vec<PathBuf>,
    classes: Vec<String>,
    /// `[ids, classes]`, 0 or 1.
    tags: Vec<f32>,
    /// What a person should know about how the data set was read; one sentence each.
    pub notices: Vec<String>,
}

impl Dataset {
    /// Opens a split: reads its list and tags, and checks that its images exist.
    ///
    /// # Errors
    ///
    /// When a folder, the split, an image or a tag is missing, a tag is not a class, or the split is empty. Without
    /// tags in `labels.json` also when a mask is missing or cannot be used.
    pub fn open(root: &Path, split: &str, options: &DatasetOptions) -> Result<Self> {
        check_layout(root)?;
        let mut notices = Vec::new();
        let ids = read_split(root, split, &mut notices)?;
        let images = ids.iter().map(|id| find_image(root, split, id)).collect::<Result<Vec<_>>>()?;

        let path = root.join(LABEL_FILE);
        let labels = if path.is_file() { Some(Labels::read(&path)?) } else { None };
        if let (Some(labels), Some(expected)) = (&labels, options.classes)
            && labels.classes.len() != expected
        {
            let reason = format!("lists {} classes, {expected} are expected", labels.classes.len());
            return Err(Error::data(path, reason, "use the class list that the model was trained with"));
        }
        let given = match &labels {
            Some(labels) => labels.multi_hot(&ids, &path)?,
            None => None,
        };
        let mut dataset = Dataset {
            root: root.to_owned(),
            split: split.to_owned(),
            ids,
            images,
            classes: labels.map_or_else(Vec::new, |labels| labels.classes),
            tags: given.unwrap_or_default(),
            notices,
        };
        if dataset.tags.is_empty() {
            dataset.derive_tags(options.classes)?;
        }
        dataset.notice_untagged();
        Ok(dataset)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no image. An opened data set has at least one.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The folder that was opened.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the split.
    pub fn split(&self) -> &str {
        &self.split
    }

    /// The images' ids, in the order of the split's list.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Names of the K foreground classes; mask value 1 is the first.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The tags of image `index`: `[K]`, 1 for a class that the image shows, else 0.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn tags(&self, index: usize) -> &[f32] {
        let count = self.classes.len();
        &self.tags[index * count..][..count]
    }

    /// The largest number of tags that one image has.
    pub fn max_tags(&self) -> usize {
        let count = |row: &[f32]| row.iter().filter(|&&tag| tag > 0.0).count();
        self.tags.chunks_exact(self.classes.len()).map(count).max().unwrap_or(0)
    }

    /// Decodes image `index`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not decode.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> Result<Rgb8> {
        Rgb8::read(&self.images[index])
    }

    /// Height and width of image `index`, from its header alone.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn image_size(&self, index: usize) -> Result<[usize; 2]> {
        Rgb8::read_size(&self.images[index]).map(<[usize; 2]>::from)
    }

    /// Whether every image of the split has a mask file.
    pub fn has_masks(&self) -> bool {
        self.ids.iter().all(|id| self.mask_path(id).is_some())
    }

    /// Decodes the mask of image `index`: values 0 to K, and 255 for void.
    ///
    /// # Errors
    ///
    /// When the file is missing or no mask of class indices, holds another value, or differs from the image in size.
    ///
    /// # Panics
    ///
    /// When `index` is not below [`len`](Self::len).
    pub fn mask(&self, index: usize) -> Result<Mask> {
        self.read_mask(index, self.classes.len())
    }

    /// Decodes every image once, so that a broken one shows before training and not in the middle of it. Returns the
    /// number of broken images; with `skip_broken` they are dropped, and each is named in [`notices`](Self::notices).
    ///
    /// # Errors
    ///
    /// When an image is broken and `skip_broken` is not set, or when none is left.
    pub fn check_images(&mut self, skip_broken: bool) -> Result<usize> {
        let faults: Vec<Option<Error>> = (0..self.len()).into_par_iter().map(|index| self.image(index).err()).collect();
        let keep: Vec<bool> = faults.iter().map(Option::is_none).collect();
        let broken: Vec<Error> = faults.into_iter().flatten().collect();
        let count = broken.len();
        if count == self.len() {
            let reason = format!("none of the {count} images of split `{}` can be read", self.split);
            return Err(Error::data(self.root.join(IMAGE_FOLDER), reason, "copy the images again"));
        }
        if skip_broken {
            if count > 0 {
                self.notices.push(format!("skipped {count} of {} images that do not decode", self.len()));
            }
            self.notices.extend(broken.iter().map(|error| format!("skipped {}", error.what())));
            self.retain(&keep);
            return Ok(count);
        }
        broken.into_iter().next().map_or(Ok(0), Err)
    }

    /// Reads every mask once, so that a bad one shows before anything is scored.
    ///
    /// # Errors
    ///
    /// As [`mask`](Self::mask), for the first image that has a bad one.
    pub fn check_masks(&self) -> Result<()> {
        let bad = (0..self.len()).into_par_iter().find_map_first(|index| self.mask(index).err());
        bad.map_or(Ok(()), Err)
    }

    fn retain(&mut self, keep: &[bool]) {
        let kept: Vec<usize> = (0..self.len()).filter(|&index| keep[index]).collect();
        self.tags = kept.iter().flat_map(|&index| self.tags(index).to_vec()).collect();
        self.ids = kept.iter().map(|&index| self.ids[index].clone()).collect();
        self.images = kept.iter().map(|&index| self.images[index].clone()).collect();
    }

    /// Fills tags, and class names if there are none, from the masks: an image has the tag of every class that its mask
    /// shows.
    fn derive_tags(&mut self, expected: Option<usize>) -> Result<()> {
        let named = (!self.classes.is_empty()).then_some(self.classes.len());
        let limit = named.or(expected).unwrap_or(MAX_CLASSES);
        let derive = |index| Ok(classes_shown(&self.read_mask(index, limit)?));
        let shown = (0..self.len()).into_par_iter().map(derive).collect::<Result<Vec<Vec<u8>>>>()?;

        let largest = shown.iter().flatten().copied().max().map_or(0, usize::from);
        let count = named.or(expected).unwrap_or(largest);
        if count == 0 {
            let reason = format!("the masks of split `{}` show no class", self.split);
            return Err(Error::data(&self.root, reason, "add masks with values above 0, or tags in labels.json"));
        }
        if self.classes.is_empty() {
            self.classes = numbered_classes(count);
        }
        self.tags = vec![0.0; self.len() * count];
        for (row, values) in self.tags.chunks_exact_mut(count).zip(&shown) {
            for &value in values {
                row[usize::from(value) - 1] = 1.0;
            }
        }
        self.notices.push(format!("{LABEL_FILE} gives no tags: they were derived from the masks ({count} classes)"));
        Ok(())
    }

    fn notice_untagged(&mut self) {
        let untagged = (0..self.len()).filter(|&index| self.tags(index).iter().all(|&tag| tag == 0.0)).count();
        if untagged > 0 {
            self.notices.push(format!("{untagged} of {} images have no tag: they show background only", self.len()));
        }
    }

    fn mask_path(&self, id: &str) -> Option<PathBuf> {
        let path = |folder: &str| self.root.join(folder).join(format!("{id}.png"));
        MASK_FOLDERS.into_iter().map(path).find(|path| path.is_file())
    }

    /// Reads a mask whose values may be 0 to `classes`, and 255.
    fn read_mask(&self, index: usize, classes: usize) -> Result<Mask> {
        let id = &self.ids[index];
        let path = self.mask_path(id).ok_or_else(|| {
            let remedy = format!("add {id}.png, or give the images' tags in {LABEL_FILE}: training needs no masks");
            Error::data(self.root.join(MASK_FOLDERS[0]), format!("the mask of image `{id}` is missing"), remedy)
        })?;
        let mask = read_index_png(&path)?;
        if let Some(value) = value_outside(&mask, classes) {
            let reason = format!("has the value {value}, but there are {classes} classes");
            return Err(Error::data(path, reason, format!("use 0 for background, 1 to {classes}, and 255 for void")));
        }
        let (height, width) = Rgb8::read_size(&self.images[index])?;
        if (mask.height, mask.width) != (height, width) {
            let reason = format!(
                "the mask is {}x{} pixels (width x height), its image {width}x{height}",
                mask.width, mask.height
            );
            return Err(Error::data(path, reason, "give mask and image the same size"));
        }
        Ok(mask)
    }
}

fn check_layout(root: &Path) -> Result<()> {
    for folder in ["", IMAGE_FOLDER, SPLIT_FOLDER] {
        let path = root.join(folder);
        if !path.is_dir() {
            return Err(Error::data(
                path.components().collect::<PathBuf>(),
                "no such folder",
                format!("expected a data set in PASCAL VOC layout: {IMAGE_FOLDER}/ and {SPLIT_FOLDER}/<split>.txt"),
            ));
        }
    }
    Ok(())
}

/// The ids of a split, each once, in the order of its list.
fn read_split(root: &Path, split: &str, notices: &mut Vec<String>) -> Result<Vec<String>> {
    let path = root.join(SPLIT_FOLDER).join(format!("{split}.txt"));
    if !path.is_file() {
        return Err(unknown_split(path, root, split));
    }
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let listed = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let (mut ids, mut seen, mut repeated) = (Vec::new(), HashSet::new(), 0);
    for id in listed {
        if seen.insert(id) {
            ids.push(id.to_owned());
        } else {
            repeated += 1;
        }
    }
    if repeated > 0 {
        notices.push(format!("{split}.txt repeats {repeated} ids: each image is used once"));
    }
    if ids.is_empty() {
        return Err(Error::data(path, "lists no image", "write one image id a line"));
    }
    Ok(ids)
}

fn unknown_split(path: PathBuf, root: &Path, split: &str) -> Error {
    let entries = fs::read_dir(root.join(SPLIT_FOLDER)).into_iter().flatten().flatten();
    let lists = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let mut splits: Vec<String> =
        lists.filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).collect();
    splits.sort();
    let remedy = match splits.is_empty() {
        true => "the folder holds no list: write one image id a line".to_owned(),
        false => format!("use one of: {}", splits.join(", ")),
    };
    Error::data(path, format!("there is no split `{split}`"), remedy)
}

fn find_image(root: &Path, split: &str, id: &str) -> Result<PathBuf> {
    let folder = root.join(IMAGE_FOLDER);
    let path = |ending: &str| folder.join(format!("{id}.{ending}"));
    ["jpg", "jpeg", "png", "JPG", "JPEG", "PNG"].into_iter().map(path).find(|path| path.is_file()).ok_or_else(|| {
        let reason = format!("image `{id}` of split `{split}` is missing (.jpg, .jpeg or .png)");
        Error::data(&folder, reason, format!("add the image, or remove its line from {SPLIT_FOLDER}/{split}.txt"))
    })
}
