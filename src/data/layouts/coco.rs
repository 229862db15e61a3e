//! MS-COCO as it is distributed (method.md 8.2).
//!
//! ```text
//! annotations/instances_<split>[year].json     images, objects, classes; also <split>/_annotations.coco.json, or
//! <any name>.json                               if there is neither
//! annotations/<split>[year]_results.json        detections, if the file above has no objects
//! <split>[year]/<file name>                     images; also in images/<split>[year]/ or JPEGImages/
//! ```
//!
//! Classes are the categories in the order of their ids, or those that are expected, found by name. An image has the
//! tag of every object in it, crowds included, and images without objects are skipped. A mask shows the objects'
//! classes; where objects overlap, the smaller one wins, as in the script that the AFA release refers to for its masks.
//! No pixel is void. An image has no mask if one of its objects has no outline.
//!
//! Detections of a score of at least 0.5 give tags, but no masks.
//!
//! The file of objects may be large: it is read once and only an index of it is kept. The outlines are read again when
//! a mask is requested.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::images::{Images, Masks};
use crate::data::layouts::layout::{Layout, Sign};
use crate::data::layouts::listing::below;
use crate::data::layouts::lists::{aliases, beginning};
use crate::data::picture::{Mask, one_line};
use crate::data::tags::{OnFault, Tags, check_classes, numbered_classes};
use crate::error::{Error, Result};
use crate::formats::coco_outline::{Shape, has_outline};
use crate::formats::text::mark_length;

/// MS-COCO, see the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Coco,
    name: "MS-COCO",
    description: "MS-COCO: annotations/instances_<split>.json",
    folders: &[],
    sign,
    has_split,
    open,
};

const FOLDER: &str = "annotations";
const PREFIX: &str = "instances_";
/// The annotation file in the folder of a split.
const NESTED: &str = "_annotations.coco.json";

/// The contents of an annotation file that are used.
#[derive(Deserialize)]
struct Contents<'a> {
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    #[serde(borrow, default)]
    annotations: Vec<Annotation<'a>>,
    #[serde(borrow)]
    categories: Vec<Category<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    id: u64,
    #[serde(borrow)]
    file_name: Cow<'a, str>,
    height: usize,
    width: usize,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    image_id: u64,
    category_id: u64,
    area: Option<f64>,
    #[serde(borrow)]
    segmentation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Category<'a> {
    id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    supercategory: Option<&'a RawValue>,
}

/// A detection in a file of results.
#[derive(Deserialize)]
struct Detection {
    image_id: u64,
    category_id: u64,
    score: f64,
}

/// Detections of lower scores give no tag.
const LEAST_SCORE: f64 = 0.5;

/// The masks of a split: the objects of its images, in the order of the images.
#[derive(Debug)]
struct Drawings {
    path: PathBuf,
    images: Vec<Drawing>,
}

/// The objects of an image.
#[derive(Debug)]
struct Drawing {
    /// Its file name, for messages.
    name: String,
    height: usize,
    width: usize,
    objects: Vec<Object>,
}

#[derive(Debug)]
struct Object {
    /// Its id, if it is a number.
    id: Option<u64>,
    /// Its mask value.
    value: u8,
    /// Size in pixels according to the file.
    area: Option<f64>,
    /// Whether it has an outline.
    outlined: bool,
    /// The byte range of its outline in the file.
    start: u64,
    length: usize,
}

/// A file of annotations.
fn sign(root: &Path) -> Option<Sign> {
    let path = path_of(root, &files(root).into_iter().next()?);
    // A file of any name may be a stray one.
    Some(Sign { what: below(&path, root), clear: path.parent() != Some(root) })
}

/// Whether there is an annotation file for the split.
fn has_split(root: &Path, split: &str) -> bool {
    files(root).iter().any(|name| is_of(name, split)) || split == "train" && files(root).len() == 1
}

/// Names of all splits with their years, sorted.
fn files(root: &Path) -> Vec<String> {
    let in_folder = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let names = in_folder(root.join(FOLDER)).filter_map(|entry| entry.file_name().into_string().ok());
    let names = names.filter_map(|name| Some(name.strip_prefix(PREFIX)?.strip_suffix(".json")?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| !name.ends_with("_results")).collect();
    let nested = in_folder(root.to_owned()).filter(|entry| entry.path().join(NESTED).is_file());
    names.extend(nested.filter_map(|entry| entry.file_name().into_string().ok()));
    if names.is_empty() {
        // Programs that export one file.
        let paths = in_folder(root.to_owned()).map(|entry| entry.path()).filter(|path| is_annotations(path));
        names.extend(paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
        names.iter_mut().for_each(|name| *name = name.strip_prefix(PREFIX).unwrap_or(name).to_owned());
    }
    names.sort();
    names.dedup();
    names
}

/// Whether a file looks like one of annotations, from its beginning.
pub(super) fn is_annotations(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|ending| ending == "json") && path.is_file();
    let has = |text: &str, keys: [&str; 2]| keys.iter().all(|key| text.contains(key));
    is_json && {
        let text = beginning(path);
        let listed = has(&text, ["\"images\"", "\"file_name\""]) || has(&text, ["\"image_id\"", "\"category_id\""]);
        text.starts_with('{') && listed
    }
}

/// The annotation file of a split that [`files`] names.
fn path_of(root: &Path, name: &str) -> PathBuf {
    let path = root.join(FOLDER).join(format!("{PREFIX}{name}.json"));
    let others = [format!("{name}/{NESTED}"), format!("{name}.json"), format!("{PREFIX}{name}.json")];
    let other = others.into_iter().map(|other| root.join(other)).find(|other| other.is_file());
    other.filter(|_| !path.is_file()).unwrap_or(path)
}

/// Whether `name` is the split, with or without a year.
fn is_of(name: &str, split: &str) -> bool {
    let is_year = |year: &str| year.bytes().all(|digit| digit.is_ascii_digit());
    aliases(split).into_iter().any(|alias| name.strip_prefix(alias).is_some_and(is_year))
}

/// The only file of a split; the only file of all is that of the training split.
fn find(root: &Path, split: &str) -> Result<String> {
    let (names, folder) = (files(root), root.join(FOLDER));
    let list = |names: &[String]| format!("use one of: {}", names.join(", "));
    if names.iter().any(|name| name == split) {
        return Ok(split.to_owned());
    }
    let of_split: Vec<String> = names.iter().filter(|name| is_of(name, split)).cloned().collect();
    match (&of_split[..], &names[..]) {
        ([name], _) => Ok(name.clone()),
        ([], [only]) if split == "train" && !is_of(only, "val") && !is_of(only, "test") => Ok(only.clone()),
        ([], _) => Err(Error::data(folder, format!("there is no split `{split}`"), list(&names))),
        _ => Err(Error::data(folder, format!("split `{split}` is ambiguous"), list(&of_split))),
    }
}

/// The file of detections of a split.
fn results_of(root: &Path, name: &str) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_its = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let own = file.strip_prefix(PREFIX).unwrap_or(&file);
        own.strip_prefix(name).is_some_and(|rest| rest.starts_with('_') && rest.ends_with("results.json"))
    };
    let mut found: Vec<PathBuf> = entries.filter(is_its).collect();
    found.sort();
    match &found[..] {
        [] => Ok(None),
        [path] => Ok(Some(path.clone())),
        [one, other, ..] => {
            let reason =
                format!("there are two files of results of `{name}`: {} and {}", below(one, root), below(other, root));
            Err(Error::data(root.join(FOLDER), reason, "move one elsewhere"))
        }
    }
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let name = find(root, split)?;
    let path = path_of(root, &name);
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let text = &bytes[mark_length(&path, &bytes)?..];
    if text.trim_ascii_start().starts_with(b"[") {
        let remedy = format!("keep {PREFIX}{name}.json with images and categories, and call this {name}_results.json");
        return Err(Error::data(path, "is a list of results, which names neither images nor classes", remedy));
    }
    let contents: Contents = serde_json::from_slice(text).map_err(|error| {
        let reason = format!("is not an annotation file of MS-COCO ({})", one_line(&error));
        Error::data(&path, reason, "expected {\"images\": [...], \"annotations\": [...], \"categories\": [...]}")
    })?;
    let mut notices = Vec::new();
    let (classes, values) = classes(&contents, options.classes.as_deref(), &path, &mut notices)?;
    let places = places(&contents, &path)?;

    let mut drawings = drawings(&contents);
    for annotation in &contents.annotations {
        let (Some(place), Some(value)) = (places.get(&annotation.image_id), values.get(&annotation.category_id)) else {
            let Annotation { image_id, category_id, .. } = annotation;
            let reason =
                format!("has an object with category {category_id} in image {image_id}, but does not list both");
            on_fault(Error::data(&path, reason, "add the category or the image, or remove the object"))?;
            continue;
        };
        // The offset of a slice within the text is the difference of their addresses.
        let outline = annotation.segmentation.map_or("", RawValue::get);
        let start = (outline.as_ptr() as u64).saturating_sub(bytes.as_ptr() as u64);
        drawings[*place].objects.push(Object {
            id: annotation.id.and_then(|id| id.get().parse().ok()),
            value: *value,
            area: annotation.area,
            outlined: has_outline(outline),
            start,
            length: outline.len(),
        });
    }

    if contents.annotations.is_empty()
        && let Some(results) = results_of(root, &name)?
    {
        detect(&results, &places, &values, &mut drawings, on_fault)?;
        let file = below(&results, root);
        notices.push(format!("tags are detections of a score of at least {LEAST_SCORE} in {file}; there are no masks"));
    }

    let folders = [&name[..], &format!("images/{name}"), "images", &format!("JPEGImages/{name}"), "JPEGImages"];
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    if path.parent() == Some(root) {
        folders.extend([root.join("data"), root.to_owned()]);
    }
    let (mut ids, mut images, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = HashMap::new();
    let empty = drawings.iter().filter(|drawing| drawing.objects.is_empty()).count();
    for (image, drawing) in contents.images.iter().zip(drawings).filter(|(_, drawing)| !drawing.objects.is_empty()) {
        let relative = relative(&image.file_name);
        let Some(found) = find_image(root, &folders, &relative) else {
            let reason = format!("image `{}` of split `{name}` is missing", one_line(&image.file_name));
            on_fault(Error::data(&folders[0], reason, "unpack the images there or in images/"))?;
            continue;
        };
        if let Some(other) = used.insert(found.clone(), image.id) {
            let reason =
                format!("gives the file `{}` to the images {other} and {}", one_line(&image.file_name), image.id);
            on_fault(Error::data(&path, reason, "unite the two images, or correct the file name"))?;
            continue;
        }
        ids.push(Path::new(&relative).with_extension("").to_string_lossy().into_owned());
        images.push(found);
        kept.push(drawing);
    }
    if ids.is_empty() {
        return Err(Error::data(path, "lists no image with objects", "use MS-COCO's instances file"));
    }
    if empty > 0 {
        notices.push(format!("skipped {empty} of {} images without objects", contents.images.len()));
    }
    let tags = Tags::of_values(classes, kept.iter().map(|drawing| drawing.objects.iter().map(|object| object.value)));
    let images = Images::new(root, &name, ids, images, Drawings { path, images: kept }).turned(options.upright);
    Ok(Dataset::new(images, tags, notices))
}

/// Adds the detections in a file of results to the images.
fn detect(
    path: &Path,
    places: &HashMap<u64, usize>,
    values: &HashMap<u64, u8>,
    drawings: &mut [Drawing],
    on_fault: OnFault,
) -> Result<()> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let detections: Vec<Detection> = serde_json::from_slice(&bytes[mark_length(path, &bytes)?..]).map_err(|error| {
        let reason = format!("is not a file of results of MS-COCO ({})", one_line(&error));
        Error::data(path, reason, r#"expected [{"image_id": …, "category_id": …, "score": …}, …]"#)
    })?;
    for Detection { image_id, category_id, score } in detections {
        match (places.get(&image_id), values.get(&category_id)) {
            (Some(place), Some(value)) if score >= LEAST_SCORE => {
                drawings[*place].objects.push(Object {
                    id: None,
                    value: *value,
                    area: None,
                    outlined: false,
                    start: 0,
                    length: 0,
                });
            }
            (Some(_), Some(_)) => {}
            _ => {
                let reason = format!("has category {category_id} in image {image_id}, which are not both listed");
                on_fault(Error::data(path, reason, "use the results of the images and categories of this split"))?;
            }
        }
    }
    Ok(())
}

/// A file name as a path below a folder, with `/` between its parts.
fn relative(file_name: &str) -> String {
    let name = file_name.replace('\\', "/");
    name.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect::<Vec<_>>().join("/")
}

/// The file of an image. Programs differ in the folder that its name is relative to, so that the folders in it, and the
/// first of them, may be missing here.
fn find_image(root: &Path, folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    let starts = std::iter::once(0).chain(name.match_indices('/').map(|(place, _)| place + 1));
    let mut paths = starts.flat_map(|start| {
        let name = &name[start..];
        let in_root = name.contains('/').then(|| root.join(name));
        folders.iter().map(move |folder| folder.join(name)).chain(in_root)
    });
    paths.find(|path| path.is_file())
}

/// Positions of the images by their ids.
fn places(contents: &Contents, path: &Path) -> Result<HashMap<u64, usize>> {
    let mut places = HashMap::new();
    for (place, image) in contents.images.iter().enumerate() {
        match places.entry(image.id) {
            Entry::Vacant(entry) => _ = entry.insert(place),
            Entry::Occupied(entry) => {
                let other: &Image = &contents.images[*entry.get()];
                let names = [other, image].map(|image| one_line(&image.file_name));
                let reason = format!("has two images of id {}: `{}` and `{}`", image.id, names[0], names[1]);
                return Err(Error::data(
                    path,
                    reason,
                    "give every image its own id, also in `image_id` of its objects",
                ));
            }
        }
    }
    Ok(places)
}

/// Class names, and the mask value of each category id. Classes are the categories in the order of their ids, or those
/// that are `expected`: categories are found among them by name, and may be fewer. If the expected classes are only
/// numbered, the order counts.
fn classes(
    contents: &Contents,
    expected: Option<&[String]>,
    path: &Path,
    notices: &mut Vec<String>,
) -> Result<(Vec<String>, HashMap<u64, u8>)> {
    let mut categories: Vec<_> = contents.categories.iter().collect();
    categories.sort_by_key(|category| category.id);
    if let Some(pair) = categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let (one, other) = (pair[0], pair[1]);
        let reason = format!("has two categories of id {}: `{}` and `{}`", one.id, one.name, other.name);
        let remedy = "give every category its own id, also in `category_id` of its objects";
        return Err(Error::data(path, reason, remedy));
    }
    let used: HashSet<u64> = contents.annotations.iter().map(|annotation| annotation.category_id).collect();
    categories.retain(|category| {
        let unused = !used.contains(&category.id) && is_group(category, &contents.categories);
        if unused {
            notices.push(format!("category `{}` has no objects and is not a class", one_line(&category.name)));
        }
        !unused
    });
    let names: Vec<String> = categories.iter().map(|category| category.name.trim().to_owned()).collect();
    check_classes(&names, path)?;
    let in_order = || categories.iter().map(|category| category.id).zip(1..).collect();
    let Some(expected) = expected else { return Ok((names, in_order())) };
    if expected == names || expected == numbered_classes(names.len()) {
        return Ok((expected.to_vec(), in_order()));
    }
    let (remedy, mut values) = ("use the categories that the model was trained with", HashMap::new());
    if expected == numbered_classes(expected.len()) {
        let reason = format!("has {} categories, but {} are expected", names.len(), expected.len());
        return Err(Error::data(path, reason, remedy));
    }
    for (category, name) in categories.iter().zip(&names) {
        match expected.iter().zip(1..).find(|(expected, _)| *expected == name) {
            Some((_, value)) => _ = values.insert(category.id, value),
            None if !used.contains(&category.id) => {}
            None => {
                let reason = format!("has the category `{name}`, which is not one of the {} classes", expected.len());
                return Err(Error::data(path, reason, remedy));
            }
        }
    }
    Ok((expected.to_vec(), values))
}

/// Whether a category is the background, or a name for others, as some programs write it beside them. A category of a
/// group of the same name is not.
fn is_group(category: &Category, all: &[Category]) -> bool {
    let within = |other: &Category| {
        let group = other.supercategory.and_then(|group| serde_json::from_str::<Cow<str>>(group.get()).ok());
        group.is_some_and(|group| group == category.name)
    };
    category.name.trim().eq_ignore_ascii_case("background") || !within(category) && all.iter().any(within)
}

/// An empty drawing for every image.
fn drawings(contents: &Contents) -> Vec<Drawing> {
    let blank = |image: &Image| Drawing {
        name: one_line(&image.file_name),
        height: image.height,
        width: image.width,
        objects: Vec::new(),
    };
    contents.images.iter().map(blank).collect()
}

impl Masks for Drawings {
    fn path(&self, place: usize) -> Option<PathBuf> {
        self.images[place].without_outline().is_none().then(|| self.path.clone())
    }

    fn why_missing(&self, place: usize) -> Option<String> {
        let object = self.images[place].without_outline()?;
        Some(if object.length == 0 && object.id.is_none() {
            "an object has no outline".into()
        } else {
            format!("{} has no outline", object.name())
        })
    }

    fn read(&self, place: usize) -> Result<(PathBuf, Mask)> {
        Ok((self.path.clone(), self.draw(place)?))
    }
}

impl Drawing {
    /// The first object without an outline.
    fn without_outline(&self) -> Option<&Object> {
        self.objects.iter().find(|object| !object.outlined)
    }
}

impl Object {
    /// Its name in messages.
    fn name(&self) -> String {
        self.id.map_or_else(|| format!("the annotation at byte {}", self.start), |id| format!("annotation {id}"))
    }
}

impl Drawings {
    /// Draws the mask of the image at `place`.
    fn draw(&self, place: usize) -> Result<Mask> {
        let drawing = &self.images[place];
        if let Some(object) = drawing.without_outline() {
            let reason = format!("{} of image `{}` has no outline", object.name(), drawing.name);
            return Err(Error::data(&self.path, reason, "add its outline, or remove the object"));
        }
        let Drawing { height, width, objects, .. } = drawing;
        let too_large =
            || Error::data(&self.path, format!("has an image of {width}x{height} pixels"), "correct its size");
        let pixels = height.checked_mul(*width).filter(|pixels| *pixels <= 1 << 30).ok_or_else(too_large)?;
        let mut file = File::open(&self.path).map_err(Error::io(&self.path))?;
        let mut parts = objects
            .iter()
            .map(|object| self.spans(&mut file, object, [*height, *width]))
            .collect::<Result<Vec<_>>>()?;
        // Smaller objects come first; later ones only get the remaining pixels.
        parts.sort_by(|(area, ..), (other, ..)| area.total_cmp(other));
        let mut data = vec![0; pixels];
        for (_, value, spans) in parts {
            for place in spans.into_iter().flat_map(|[start, end]| start..end) {
                let pixel = &mut data[place % height * width + place / height];
                if *pixel == 0 {
                    *pixel = value;
                }
            }
        }
        Ok(Mask::new(*height, *width, data))
    }

    /// Area, mask value and pixels of an object.
    fn spans(
        &self,
        file: &mut File,
        object: &Object,
        [height, width]: [usize; 2],
    ) -> Result<(f64, u8, Vec<[usize; 2]>)> {
        let mut outline = vec![0; object.length];
        file.seek(SeekFrom::Start(object.start)).map_err(Error::io(&self.path))?;
        file.read_exact(&mut outline).map_err(Error::io(&self.path))?;
        let shape = serde_json::from_slice(&outline).map_err(|_| "is neither polygons nor run lengths".to_owned());
        let spans = shape.and_then(|shape: Shape| shape.spans(height, width)).map_err(|reason| {
            let reason = format!("the segmentation of {} {reason}", object.name());
            Error::data(&self.path, reason, "use MS-COCO's polygons or run-length codes")
        })?;
        let covered = || spans.iter().map(|[start, end]| end - start).sum::<usize>() as f64;
        Ok((object.area.unwrap_or_else(covered), object.value, spans))
    }
}
