//! The PASCAL VOC layout (spec 8.1), and MS-COCO in folders of the same kind (spec 8.2).
//!
//! ```text
//! JPEGImages/<id>.jpg | .jpeg | .png
//! ImageSets/Segmentation/<split>.txt          one id a line
//! SegmentationClassAug/<id>.png               masks; else SegmentationClass/
//! labels.json | cls_labels_onehot.npy | …     tags, see `tag_source`
//! ```
//!
//! Images and masks may also lie in a folder `train` or `val` of theirs, and images to test on in `JPEGImages_test`.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::dataset::{Dataset, DatasetOptions, Masks, retain_marked};
use crate::data::tag_source::read_tags;
use crate::data::tags::{OnFault, Tags};
use crate::error::{Error, Result};

const IMAGE_FOLDER: &str = "JPEGImages";
const TEST_FOLDER: &str = "JPEGImages_test";
pub(super) const SPLIT_FOLDER: &str = "ImageSets/Segmentation";
const MASK_FOLDERS: [&str; 2] = ["SegmentationClassAug", "SegmentationClass"];

/// Opens a split, see [`Dataset::open_reporting`].
pub(super) fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    check_layout(root)?;
    let mut notices = Vec::new();
    let mut ids = read_split(root, split, &mut notices)?;
    let listed = ids.clone();
    let folders = image_folders(root, split);
    let mut images = Vec::with_capacity(ids.len());
    for id in &listed {
        match find_image(&folders, split, id) {
            Ok(path) => images.push(Some(path)),
            Err(error) => {
                on_fault(error)?;
                images.push(None);
            }
        }
    }
    retain_marked(&mut ids, &images.iter().map(Option::is_some).collect::<Vec<_>>());
    let mut dataset = Dataset {
        root: root.to_owned(),
        split: split.to_owned(),
        ids,
        images: images.into_iter().flatten().collect(),
        masks: Masks::Files(MASK_FOLDERS.iter().flat_map(|folder| nested(root, folder, split)).collect()),
        tags: Tags { classes: Vec::new(), rows: Vec::new() },
        notices,
    };
    dataset.tags = read_tags(&mut dataset, &listed, options, on_fault)?;
    Ok(dataset)
}

/// Whether the folder holds lists of splits.
pub(super) fn is_here(root: &Path) -> bool {
    root.join(SPLIT_FOLDER).is_dir()
}

/// Whether there is a list of the split.
pub(super) fn has_split(root: &Path, split: &str) -> bool {
    list_path(root, split).is_file()
}

fn list_path(root: &Path, split: &str) -> PathBuf {
    root.join(SPLIT_FOLDER).join(format!("{split}.txt"))
}

fn check_layout(root: &Path) -> Result<()> {
    for folder in ["", IMAGE_FOLDER, SPLIT_FOLDER] {
        let path = root.join(folder);
        if !path.is_dir() {
            return Err(Error::data(
                path.components().collect::<PathBuf>(),
                "no such folder",
                format!(
                    "expected a data set in PASCAL VOC layout: {IMAGE_FOLDER}/ and {SPLIT_FOLDER}/<split>.txt; or \
                     MS-COCO: annotations/instances_<split>.json"
                ),
            ));
        }
    }
    Ok(())
}

/// The ids of a split, each once, in the order of its list.
fn read_split(root: &Path, split: &str, notices: &mut Vec<String>) -> Result<Vec<String>> {
    let path = list_path(root, split);
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

/// The folder itself, and where it keeps the images of splits apart, the one for this split.
fn nested(root: &Path, folder: &str, split: &str) -> Vec<PathBuf> {
    let part = ["train", "val"].into_iter().find(|part| split.contains(part)).map(|part| root.join(folder).join(part));
    part.into_iter().filter(|part| part.is_dir()).chain([root.join(folder)]).collect()
}

fn image_folders(root: &Path, split: &str) -> Vec<PathBuf> {
    let mut folders = nested(root, IMAGE_FOLDER, split);
    folders.extend(split.contains("test").then(|| root.join(TEST_FOLDER)));
    folders
}

fn find_image(folders: &[PathBuf], split: &str, id: &str) -> Result<PathBuf> {
    let endings = ["jpg", "jpeg", "png", "JPG", "JPEG", "PNG"];
    let mut paths = folders.iter().flat_map(|folder| endings.map(|ending| folder.join(format!("{id}.{ending}"))));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let reason = format!("image `{id}` of split `{split}` is missing (.jpg, .jpeg or .png)");
        Error::data(&folders[0], reason, format!("add the image, or remove its line from {SPLIT_FOLDER}/{split}.txt"))
    })
}

/// Masks in `folders` that no image of the split's folders has, sorted.
pub(super) fn masks_without_image(root: &Path, split: &str, folders: &[PathBuf]) -> Vec<PathBuf> {
    let images = image_folders(root, split);
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let masks = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "png"));
    let mut orphans: Vec<PathBuf> = masks
        .filter(|path| {
            let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            find_image(&images, split, &id).is_err()
        })
        .collect();
    orphans.sort();
    orphans
}
