//! A folder for each class: what most people have.
//!
//! ```text
//! cat/<any name>.jpg | .png | …     or the same below train/ and, for another split, val/
//! dog/…
//! ```
//!
//! Files of the same content are one image with the tags of all its folders. Images in a folder `background` have no
//! tags. Subfolders of a class belong to it, and hidden folders to none. A folder that this program has written, such as
//! a run, predictions or labels, is no class. A folder `train`, `val` or `test`, in any
//! capitalisation, is a split if it has folders, else a class; so is one with another name of a split, such as `valid`.
//! There are no masks.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::{FORMATS, is_picture, is_unread_picture};
use crate::data::files::{collect, is_hidden, unread};
use crate::data::ids::make_distinct;
use crate::data::images::{Images, NoMasks};
use crate::data::layouts::layout::{Layout, Sign};
use crate::data::layouts::lists::split_named;
use crate::data::layouts::yolo::owns_folders;
use crate::data::tags::{MAX_CLASSES, OnFault, Tags, check_classes as check_names, composed};
use crate::error::{Error, Result};

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Folders,
    name: "a folder for each class",
    description: "a folder for each class: cat/*.jpg, dog/*.jpg, or the same below train/",
    folders: &[],
    sign,
    has_split,
    open,
};

/// The split of folders that are not below a folder of a split.
const TRAIN: &str = "train";
/// The folder of images without tags.
const BACKGROUND: &str = "background";

/// Folders of other layouts, which are no classes even where the rest of a layout is missing.
const OTHERS: [&str; 8] = [
    "JPEGImages",
    "ImageSets",
    "SegmentationClass",
    "SegmentationClassAug",
    "annotations",
    "images",
    "labels",
    "masks",
];

/// Folders with images. A single one, or folders called like splits, are a clear sign of nothing.
fn sign(root: &Path) -> Option<Sign> {
    if OTHERS.iter().any(|other| root.join(other).is_dir()) {
        return None;
    }
    let folders = class_folders(&folder_of(root, TRAIN)).unwrap_or_default();
    let names: Vec<String> =
        folders.into_iter().filter(|(_, folder)| has_image(folder)).map(|(name, _)| name).collect();
    let classes = names.iter().filter(|name| split_of(name).is_none());
    let clear = classes.count() > 1;
    let first = names.first()?;
    (!owns_folders(root)).then(|| Sign { what: format!("{first}/"), clear })
}

/// The split `train` is always there, others if they have a folder.
fn has_split(root: &Path, split: &str) -> bool {
    split == TRAIN || own_folder(root, split).is_some()
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let folder = folder_of(root, split);
    if !has_split(root, split) {
        let remedy = format!("add a folder `{split}` with a folder for each class");
        return Err(Error::data(root.join(split), format!("there is no split `{split}`"), remedy));
    }
    let (mut paths, mut names, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = BTreeMap::new();
    for (name, folder) in class_folders(&folder)? {
        let (before, others) = (paths.len(), skipped.len());
        images_below(&folder, &mut paths, &mut skipped)?;
        let mut missed = skipped[others..].iter().filter(|path| is_unread_picture(path));
        if let (true, Some(first)) = (paths.len() == before, missed.next()) {
            on_fault(unread(first, 1 + missed.count()))?;
        }
        for lost in paths.split_off(before) {
            // A link to nothing, most often.
            match lost.is_file() {
                true => paths.push(lost),
                false => on_fault(Error::data(&lost, "is a link to a file that is missing", "restore the file"))?,
            }
        }
        names.resize(paths.len(), name.clone());
        *counts.entry(name).or_default() += paths.len() - before;
    }
    let classes = match &options.classes {
        Some(classes) => classes.clone(),
        None => counts
            .iter()
            .filter(|(name, count)| **count > 0 && *name != BACKGROUND)
            .map(|(name, _)| name.clone())
            .collect(),
    };
    check_classes(&folder, &classes, &counts)?;

    let firsts = first_of_same_content(&paths)?;
    let (mut ids, mut kept, mut rows) = (Vec::new(), Vec::new(), Vec::<f32>::new());
    let mut row_of = HashMap::new();
    for (index, (path, name)) in paths.iter().zip(&names).enumerate() {
        let row = *row_of.entry(firsts[index]).or_insert_with(|| {
            ids.push(
                path.strip_prefix(&folder).unwrap_or(path).with_extension("").to_string_lossy().replace('\\', "/"),
            );
            kept.push(path.clone());
            rows.resize(rows.len() + classes.len(), 0.0);
            ids.len() - 1
        });
        if let Some(column) = classes.iter().position(|class| class == name) {
            rows[row * classes.len() + column] = 1.0;
        }
    }
    make_distinct(&mut ids, &kept);
    let mut notices = vec![summary(&counts, paths.len() - kept.len())];
    if let Some(first) = skipped.first() {
        notices.push(format!("skipped {} files that are not {FORMATS}, such as {}", skipped.len(), first.display()));
    }
    let mut loose = entries(&folder)?;
    loose.retain(|path| is_picture(path) && !is_hidden(path));
    loose.sort();
    if let Some(first) = loose.first() {
        let (count, first) = (loose.len(), first.display());
        notices.push(format!("{count} pictures are in no folder of a class and not used, such as {first}"));
    }
    if let [class] = &classes[..]
        && let Some(inner) = inner_folders(&folder.join(class))
    {
        let (inner, place) = (inner.join(", "), folder.join(class).display().to_string());
        notices.push(format!("the only class is `{class}`; if its folders are the classes ({inner}), give {place}"));
    }
    let images =
        Images::new(root, split, ids, kept, NoMasks::new(root, "folders of classes have no masks")).turned(true);
    Ok(Dataset::new(images, Tags { classes, rows }, notices))
}

/// The folder with the class folders of a split: its own, or that of the data set.
fn folder_of(root: &Path, split: &str) -> PathBuf {
    own_folder(root, split).unwrap_or_else(|| root.to_owned())
}

/// The folder of a split.
fn own_folder(root: &Path, split: &str) -> Option<PathBuf> {
    let is_own = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        split_of(&name) == Some(split) || name.eq_ignore_ascii_case(split)
    };
    let mut own: Vec<_> = entries(root).unwrap_or_default().into_iter().filter(is_own).collect();
    // The name of the split itself comes before others.
    own.sort_by_key(|path| (path.file_name() != Some(split.as_ref()), path.clone()));
    own.into_iter().find(|path| has_classes(path))
}

/// The split that a folder of this name is, if it has folders of classes.
pub(super) fn split_of(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "training" => Some(TRAIN),
        "testing" => Some("test"),
        name => split_named(name),
    }
}

/// The folders in that of a class, if all of its pictures are in several of them.
fn inner_folders(class: &Path) -> Option<Vec<String>> {
    let inside = entries(class).ok()?;
    let folders = class_folders(class).ok()?.into_iter().filter(|(_, folder)| has_image(folder));
    let names: Vec<_> = folders.map(|(name, _)| name).collect();
    (names.len() > 1 && !inside.iter().any(|path| is_picture(path) && !is_hidden(path))).then_some(names)
}

/// Whether a folder is that of a split: it has folders with images.
fn has_classes(folder: &Path) -> bool {
    let mut inside = entries(folder).unwrap_or_default().into_iter();
    inside.any(|path| path.is_dir() && !is_hidden(&path) && has_image(&path))
}

/// Names and paths of the folders in a folder, sorted by name, without hidden ones and those of splits.
fn class_folders(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut folders: Vec<_> = entries(folder)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some((composed(&path.file_name()?.to_string_lossy()), path)))
        .filter(|(name, path)| !name.starts_with('.') && name != "__MACOSX" && !is_split(name, path))
        .filter(|(_, path)| !is_of_results(path))
        .collect();
    folders.sort();
    Ok(folders)
}

/// Whether a folder holds what this program writes: a run, labels as a data set, or predictions, whose overlays are beside
/// their masks.
fn is_of_results(folder: &Path) -> bool {
    let overlay_of = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_suffix("_overlay.png")?;
        Some(path.with_file_name(format!("{name}.png")))
    };
    folder.join("checkpoints").is_dir()
        || folder.join("ImageSets").is_dir()
        || entries(folder).unwrap_or_default().iter().any(|path| overlay_of(path).is_some_and(|mask| mask.is_file()))
}

fn is_split(name: &str, folder: &Path) -> bool {
    split_of(name).is_some() && has_classes(folder)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    entries.map(|entry| Ok(entry.map_err(Error::io(folder))?.path())).collect()
}

fn has_image(folder: &Path) -> bool {
    let mut found = entries(folder).unwrap_or_default().into_iter().filter(|path| !is_hidden(path));
    found.any(|path| if path.is_dir() { has_image(&path) } else { is_picture(&path) })
}

/// Adds the images in a folder and its subfolders, sorted, and the files that are no images.
fn images_below(folder: &Path, images: &mut Vec<PathBuf>, others: &mut Vec<PathBuf>) -> Result<()> {
    collect(folder, &mut |path| if is_picture(&path) { images.push(path) } else { others.push(path) })
}

/// Refuses folders of no class, and classes without an image in the whole split.
fn check_classes(folder: &Path, classes: &[String], counts: &BTreeMap<String, usize>) -> Result<()> {
    if classes.is_empty() {
        let remedy = "make a folder for each class, and put images into it";
        return Err(Error::data(folder, "no folder in it has images", remedy));
    }
    if classes.len() > MAX_CLASSES {
        let reason = format!("has {} folders with images, but there can be {MAX_CLASSES} classes", classes.len());
        return Err(Error::data(folder, reason, "give a folder whose subfolders are classes"));
    }
    check_names(classes, folder)?;
    let unknown = counts.keys().find(|name| *name != BACKGROUND && !classes.contains(name));
    match unknown {
        None => Ok(()),
        Some(name) if counts[name] == 0 => Ok(()),
        Some(name) => {
            let reason = format!("its folder `{name}` is none of the classes {}", classes.join(", "));
            Err(Error::data(folder, reason, "rename the folder as its class, or remove it"))
        }
    }
}

/// For each file, the index of the first one with the same content.
pub(super) fn first_of_same_content(paths: &[PathBuf]) -> Result<Vec<usize>> {
    let mut same_size: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut firsts = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        let size = fs::metadata(path).map_err(Error::io(path))?.len();
        let known = same_size.entry(size).or_default();
        let mut first = index;
        if !known.is_empty() {
            let content = fs::read(path).map_err(Error::io(path))?;
            for &other in known.iter() {
                if fs::read(&paths[other]).map_err(Error::io(&paths[other]))? == content {
                    first = other;
                    break;
                }
            }
        }
        if first == index {
            known.push(index);
        }
        firsts.push(first);
    }
    Ok(firsts)
}

/// One sentence about what was found.
fn summary(counts: &BTreeMap<String, usize>, repeated: usize) -> String {
    let folders: Vec<_> = counts.iter().map(|(name, count)| format!("{name} ({count})")).collect();
    let repeated = match repeated {
        0 => String::new(),
        count => format!("; {count} files repeat another, which has the tags of all its folders"),
    };
    format!("tags are the names of folders: {}{repeated}", folders.join(", "))
}
