//! YOLO: a text file of boxes or polygons for each image, whose classes are its tags.
//!
//! ```text
//! data.yaml                  train: images/train, val: images/val, names: [cat, dog] or {0: cat, 1: dog}
//! images/train/a.jpg         images, also in train/images/ or wherever `train` says
//! labels/train/a.txt         a line for each object: class and numbers; no file, or an empty one, is no object
//! ```
//!
//! Instead of data.yaml there may be a list with a name per line: classes.txt, also in labels/ or beside pictures that
//! have their labels beside them, or Darknet's obj.names, which obj.data may name with the lists of the splits.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::layout::{Layout, Sign};
use super::listing::{self, Entry, Listing, Named, below};
use super::lists::aliases;
use crate::config::DataForm;
use crate::data::class_names::lines;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::is_picture;
use crate::data::files::{Pictures, collect};
use crate::data::picture::one_line;
use crate::data::tags::{MAX_CLASSES, OnFault, numbered_classes};
use crate::error::{Error, Result};
use crate::formats::text::read_text;
use crate::formats::yaml::{numbered_names, read_yaml, text};

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Yolo,
    name: "YOLO",
    description: "YOLO: data.yaml with names, images/ and labels/",
    folders: &[],
    sign,
    has_split,
    open,
};

/// Files with a name per line, and where else they may be than in the folder itself.
const LISTS: [&str; 5] = ["classes.txt", "obj.names", "labels/classes.txt", "_darknet.labels", "train/_darknet.labels"];

/// Darknet's files of settings, which name the list of classes and those of images.
const SETTINGS: [&str; 2] = ["obj.data", "data/obj.data"];

/// The folder that Darknet's files begin their paths with, which exports often lack.
const DARKNET: &str = "data";

/// A file that names classes, or labels that need one.
fn sign(root: &Path) -> Option<Sign> {
    match description(root) {
        Some(path) => Some(Sign::clear(below(&path, root))),
        None => has_text(&root.join("labels")).then(|| Sign { what: "labels/".into(), clear: false }),
    }
}

/// Whether a file is called like one of labels.
fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

/// Whether there is a text file in a folder or its folders.
fn has_text(folder: &Path) -> bool {
    let mut found = false;
    if folder.is_dir() {
        let _ = collect(folder, &mut |path| found |= is_text(&path));
    }
    found
}

/// Whether a picture has labels: a text file whose first line is a class and numbers.
fn has_labels(root: &Path) -> bool {
    let is_labelled = |image: &Path| {
        let text = labels_of(image, root).and_then(|labels| read_text(&labels).ok()).unwrap_or_default();
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.split_whitespace().count() >= 5 && first.split_whitespace().all(|field| field.parse::<f64>().is_ok())
    };
    let mut found = false;
    let _ = collect(root, &mut |path| found = found || is_picture(&path) && is_labelled(&path));
    found
}

/// Whether the folders of pictures are those of a YOLO data set, and no classes.
pub(super) fn owns_folders(root: &Path) -> bool {
    description(root).is_some() && has_labels(root)
}

/// data.yaml, or another YAML file that names classes, or Darknet's settings, or a list of names beside labels.
fn description(root: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let names = |path: &PathBuf| {
        let mut bytes = fs::read(path).unwrap_or_default();
        bytes.retain(|byte| *byte != 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut keys = text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key);
        keys.any(|key| ["names", "nc"].contains(&key.trim_matches(|c: char| !c.is_ascii_alphabetic())))
    };
    let mut found: Vec<_> = entries.filter(is_yaml).filter(names).collect();
    found.sort_by_key(|path| (path.file_stem().is_none_or(|stem| stem != "data"), path.clone()));
    let existing = |names: &[&str]| names.iter().map(|name| root.join(name)).find(|path| path.is_file());
    // One that says nothing is reported.
    let empty = || existing(&["data.yaml", "data.yml"]).filter(|_| root.join("labels").is_dir());
    let list = || existing(&LISTS).filter(|_| has_text(&root.join("labels")) || has_labels(root));
    found.into_iter().next().or_else(empty).or_else(|| existing(&SETTINGS)).or_else(list)
}

/// What the description says.
struct Facts {
    file: PathBuf,
    names: Vec<String>,
    /// The whole description; nothing for classes.txt.
    whole: Value,
}

impl Facts {
    fn read(root: &Path) -> Result<Self> {
        let Some(file) = description(root) else {
            let remedy = "write data.yaml with `names: [cat, dog]`, or classes.txt with a name per line";
            return Err(Error::data(root, "has labels, but no file that names their classes", remedy));
        };
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("yaml" | "yml") => {}
            Some("data") => return Facts::of_settings(file, root),
            _ => return Ok(Facts { names: lines(&file)?, file, whole: Value::Null }),
        }
        let whole = read_yaml(&file)?;
        let fault =
            |reason: String| Error::data(&file, reason, "write `names: [cat, dog]`, or a map from 0, 1, … to names");
        let count = whole.get("nc").and_then(Value::as_u64).map(|count| count as usize);
        let names = match (whole.get("names"), count) {
            (Some(names), _) => numbered_names(names)
                .ok_or_else(|| fault("has `names` that are neither a list nor numbered from 0".into()))?,
            (None, Some(count)) => numbered_classes(count.min(MAX_CLASSES + 1)),
            (None, None) => return Err(fault("has no `names`".into())),
        };
        match count {
            Some(count) if count != names.len() => {
                Err(fault(format!("has {} `names`, but `nc` is {count}", names.len())))
            }
            _ => Ok(Facts { file, names, whole }),
        }
    }

    /// What Darknet's settings say: lines of `key = value`.
    fn of_settings(file: PathBuf, root: &Path) -> Result<Self> {
        let text = read_text(&file)?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let whole: serde_json::Map<String, Value> =
            pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().into())).collect();
        let mut facts = Facts { file, names: Vec::new(), whole: Value::Object(whole) };
        let stated = facts.whole.get("names").and_then(Value::as_str).and_then(|path| facts.find(root, path));
        let usual = || Some(facts.file.with_file_name("obj.names")).filter(|path| path.is_file());
        let Some(list) = stated.or_else(usual) else {
            let remedy = "write `names = data/obj.names`, with a name per line there";
            return Err(Error::data(&facts.file, "names no list of classes that is here", remedy));
        };
        facts.names = lines(&list)?;
        Ok(facts)
    }

    /// The file or folder that the description means by a path. Its own folder counts where `path` is that of another
    /// machine, and where programs write `../` too often or Darknet's folder is missing.
    fn find(&self, root: &Path, path: &str) -> Option<PathBuf> {
        let folder = self.file.parent().unwrap_or(root);
        let stated = self.whole.get("path").and_then(Value::as_str).map(|path| folder.join(path));
        let bases: Vec<PathBuf> = stated.into_iter().chain([folder.to_owned(), root.to_owned()]).collect();
        let path = path.replace('\\', "/");
        let inner = Path::new(&path).strip_prefix(DARKNET).ok().and_then(Path::to_str).unwrap_or(&path);
        let readings = [path.as_str(), path.trim_start_matches("../"), path.trim_start_matches("./"), inner];
        let mut paths = readings.into_iter().flat_map(|path| bases.iter().map(move |base| base.join(path)));
        paths.find(|path| path.exists())
    }

    /// The places of a split's images: folders, or lists of paths.
    fn places(&self, root: &Path, split: &str) -> Vec<PathBuf> {
        let value = aliases(split).into_iter().find_map(|alias| self.whole.get(alias).filter(|value| !value.is_null()));
        let texts: Vec<String> = match value {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        };
        let mut found: Vec<PathBuf> = texts.iter().filter_map(|text| self.find(root, text)).collect();
        if found.is_empty() {
            let usual =
                aliases(split).into_iter().flat_map(|alias| [format!("images/{alias}"), format!("{alias}/images")]);
            found.extend(usual.map(|name| root.join(name)).find(|path| path.is_dir()));
        }
        if found.is_empty() && split == "train" {
            let usual = ["images", "obj_train_data", "data/obj_train_data", "train"].map(|name| root.join(name));
            let beside = || (!self.whole.is_object()).then(|| root.to_owned());
            found.extend(usual.into_iter().find(|path| path.is_dir()).or_else(beside));
        }
        found
    }
}

/// Whether the description, or a folder, has the split.
fn has_split(root: &Path, split: &str) -> bool {
    let Ok(facts) = Facts::read(root) else { return split == "train" };
    let places = facts.places(root, split);
    // Small examples score on the images that they train on.
    !places.is_empty() && (split == "train" || places != facts.places(root, "train"))
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let facts = Facts::read(root)?;
    let places = facts.places(root, split);
    if places.is_empty() {
        let reason = format!("has no folder of images for split `{split}`");
        return Err(Error::data(&facts.file, reason, format!("write `{split}: images/{split}`, relative to it")));
    }
    let mut images = Vec::new();
    let mut pictures = None;
    for place in places {
        if place.is_dir() {
            collect(&place, &mut |path| images.extend(is_picture(&path).then_some(path)))?;
            continue;
        }
        if pictures.is_none() {
            pictures = Some(Pictures::below(root)?);
        }
        for (number, line) in (1..).zip(read_text(&place)?.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let hit =
                pictures.as_ref().and_then(|pictures| Some(pictures.path(pictures.find(line, root).ok()?.picture)));
            match hit {
                Some(path) => images.push(path.to_owned()),
                None => {
                    let reason = format!("line {number} names the image `{}`, which is missing", one_line(&line));
                    on_fault(Error::data(&place, reason, "add the image, or remove the line"))?;
                }
            }
        }
    }
    let (mut entries, mut without, mut read) = (Vec::new(), 0, BTreeSet::new());
    for image in images {
        let mut tags = Vec::new();
        match labels_of(&image, root) {
            Some(labels) => {
                for class in classes_in(&labels, &facts, on_fault)? {
                    tags.push(facts.names[class].clone());
                }
                read.insert(labels);
            }
            None => without += 1,
        }
        entries.push(Entry { place: below(&image, root), image: Named::File(image), tags });
    }
    let count = entries.len();
    if without == count {
        let reason = "no image has a file of labels";
        let remedy = "put labels/a.txt beside images/a.jpg, or a.txt beside a.jpg";
        return Err(Error::data(root, reason, remedy));
    }
    let mut notices = vec!["tags are the classes of boxes and polygons".to_owned()];
    if without > 0 {
        notices.push(format!("{without} of {count} images have no file of labels and show no class, as YOLO has it"));
    }
    let lonely = without_image(&read, &facts);
    if let Some(first) = lonely.first() {
        let (count, first) = (lonely.len(), below(first, root));
        notices.push(format!("{count} files of labels belong to no image here, such as {first}"));
    }
    let listing = Listing { file: facts.file, base: root.to_owned(), classes: Some(facts.names), entries, notices };
    listing::open(root, split, listing, options, on_fault)
}

/// The file of labels of an image: in `labels` instead of its last folder `images`, or beside it, or in `labels`.
fn labels_of(image: &Path, root: &Path) -> Option<PathBuf> {
    let inner = image.strip_prefix(root).unwrap_or(image);
    let parts: Vec<_> = inner.components().collect();
    let mut places = Vec::new();
    if let Some(place) = parts.iter().rposition(|part| part.as_os_str() == "images") {
        let before: PathBuf = parts[..place].iter().collect();
        places.push(root.join(before).join("labels").join(parts[place + 1..].iter().collect::<PathBuf>()));
    }
    places.push(image.to_owned());
    places.push(root.join("labels").join(inner));
    let mut files = places.iter().flat_map(|path| ["txt", "TXT", "Txt"].map(|ending| path.with_extension(ending)));
    files.find(|path| path.is_file())
}

/// The files beside those that were read that are labels, too.
fn without_image(read: &BTreeSet<PathBuf>, facts: &Facts) -> Vec<PathBuf> {
    let folders: BTreeSet<&Path> = read.iter().filter_map(|path| path.parent()).collect();
    let beside = folders.into_iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let is_label = |path: &PathBuf| {
        is_text(path)
            && !read.contains(path)
            && *path != facts.file
            && matches!(classes_in(path, facts, &mut Err), Ok(found) if !found.is_empty())
    };
    let mut found: Vec<_> = beside.map(|entry| entry.path()).filter(is_label).collect();
    found.sort();
    found
}

/// The classes of the objects in a file of labels.
fn classes_in(path: &Path, facts: &Facts, on_fault: OnFault) -> Result<Vec<usize>> {
    let mut classes = Vec::new();
    for (number, line) in (1..).zip(read_text(path)?.lines()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some(first) = fields.first() else { continue };
        let mut refuse =
            |reason: String, remedy: String| on_fault(Error::data(path, format!("line {number} {reason}"), remedy));
        let shape = "write a class and x, y, width, height, or the points of a polygon".to_owned();
        let numbers: Option<Vec<f64>> =
            fields.iter().map(|field| field.parse().ok().filter(|n: &f64| n.is_finite())).collect();
        let whole = numbers.as_ref().map(|numbers| numbers[0]).filter(|class| class.fract() == 0.0 && *class >= 0.0);
        match whole {
            None => refuse(format!("is not a class and numbers (`{}`)", one_line(&line)), shape)?,
            Some(_) if fields.len() < 5 => refuse(format!("has {} numbers", fields.len()), shape)?,
            Some(class) if class as usize >= facts.names.len() => {
                let (count, file) = (facts.names.len(), facts.file.file_name().unwrap_or_default().display());
                let reason =
                    format!("has the class {first}, but {file} names {count} (0 to {})", count.saturating_sub(1));
                refuse(reason, format!("correct the class, or add its name to {file}"))?;
            }
            Some(class) => classes.push(class as usize),
        }
    }
    Ok(classes)
}
