//! YOLO: a text file of boxes or polygons for each image, whose classes are its tags.
//!
//! ```text
//! data.yaml                  train: images/train, val: images/val, names: [cat, dog] or {0: cat, 1: dog}
//! images/train/a.jpg         images, also in train/images/ or wherever `train` says
//! labels/train/a.txt         a line for each object: class and numbers; no file, or an empty one, is no object
//! ```
//!
//! Instead of data.yaml there may be classes.txt with a name per line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::layout::{Layout, Sign};
use super::listing::{self, Entry, Listing, Named, below};
use super::lists::aliases;
use crate::config::DataForm;
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

const NAMES: &str = "classes.txt";

/// A file that names classes, and folders of images or labels.
fn sign(root: &Path) -> Option<Sign> {
    let path = description(root)?;
    Some(Sign::clear(below(&path, root)))
}

/// data.yaml, or another YAML file that names classes, or classes.txt beside labels.
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
    let plain = root.join(NAMES);
    found.into_iter().next().or_else(|| (plain.is_file() && root.join("labels").is_dir()).then_some(plain))
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
        let file = description(root).unwrap_or_else(|| root.join("data.yaml"));
        if file.ends_with(NAMES) {
            let text = read_text(&file)?;
            let names = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
            return Ok(Facts { file, names, whole: Value::Null });
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

    /// The places of a split's images: folders, or lists of paths. The folder of the description counts where `path` is
    /// that of another machine, and where programs write `../` too often.
    fn places(&self, root: &Path, split: &str) -> Vec<PathBuf> {
        let folder = self.file.parent().unwrap_or(root);
        let stated = self.whole.get("path").and_then(Value::as_str).map(|path| folder.join(path));
        let bases: Vec<PathBuf> = stated.into_iter().chain([folder.to_owned()]).collect();
        let value = aliases(split).into_iter().find_map(|alias| self.whole.get(alias).filter(|value| !value.is_null()));
        let texts: Vec<String> = match value {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(value) => text(value).into_iter().collect(),
            None => Vec::new(),
        };
        let find = |text: &String| {
            let path = text.replace('\\', "/");
            let readings = [path.as_str(), path.trim_start_matches("../"), path.trim_start_matches("./")];
            let mut paths = readings.into_iter().flat_map(|path| bases.iter().map(move |base| base.join(path)));
            paths.find(|path| path.exists())
        };
        let mut found: Vec<PathBuf> = texts.iter().filter_map(find).collect();
        if found.is_empty() {
            let usual =
                aliases(split).into_iter().flat_map(|alias| [format!("images/{alias}"), format!("{alias}/images")]);
            found.extend(usual.map(|name| root.join(name)).find(|path| path.is_dir()));
        }
        if found.is_empty() && split == "train" {
            found.extend(Some(root.join("images")).filter(|path| path.is_dir()));
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
    let (mut entries, mut without) = (Vec::new(), 0);
    for image in images {
        let labels = labels_of(&image);
        let mut tags = Vec::new();
        if labels.is_file() {
            for class in classes_in(&labels, &facts, on_fault)? {
                tags.push(facts.names[class].clone());
            }
        } else {
            without += 1;
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
    let listing = Listing { file: facts.file, base: root.to_owned(), classes: Some(facts.names), entries, notices };
    listing::open(root, split, listing, options, on_fault)
}

/// The file of labels of an image: in `labels` instead of its last folder `images`, or beside it.
fn labels_of(image: &Path) -> PathBuf {
    let parts: Vec<_> = image.components().collect();
    let path = match parts.iter().rposition(|part| part.as_os_str() == "images") {
        Some(place) => {
            let before: PathBuf = parts[..place].iter().collect();
            before.join("labels").join(parts[place + 1..].iter().collect::<PathBuf>())
        }
        None => image.to_owned(),
    };
    path.with_extension("txt")
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
