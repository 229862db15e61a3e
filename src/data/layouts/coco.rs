//! MS-COCO as it is distributed (method.md 8.2).
//!
//! ```text
//! annotations/instances_<split>[year].json     images, objects, classes
//! <split>[year]/<file name>                     images; also in images/<split>[year]/ or JPEGImages/
//! ```
//!
//! Classes are the categories in the order of their ids. An image has the tag of every object in it, crowds included,
//! and images without objects are skipped. A mask shows the objects' classes; where objects overlap, the smaller
//! one wins, as in the script that the AFA release refers to for its masks. No pixel is void.
//!
//! The file of objects may be large: it is read once and only an index of it is kept. The outlines are read again when
//! a mask is requested.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::images::{Images, Masks};
use crate::data::layouts::layout::Layout;
use crate::data::picture::{Mask, one_line};
use crate::data::tags::{OnFault, Tags, check_classes};
use crate::error::{Error, Result};
use crate::formats::coco_outline::Shape;

/// MS-COCO, see the module documentation.
pub(crate) const LAYOUT: Layout =
    Layout { description: "MS-COCO: annotations/instances_<split>.json", folders: &[FOLDER], is_here, has_split, open };

const FOLDER: &str = "annotations";
const PREFIX: &str = "instances_";

/// The contents of an annotation file that are used.
#[derive(Deserialize)]
struct Contents<'a> {
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    #[serde(borrow)]
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
}

/// The masks of a split: the objects of its images, in the order of the images.
#[derive(Debug)]
struct Drawings {
    path: PathBuf,
    images: Vec<Drawing>,
}

/// The objects of an image.
#[derive(Debug)]
struct Drawing {
    height: usize,
    width: usize,
    objects: Vec<Object>,
}

#[derive(Debug)]
struct Object {
    /// Its mask value.
    value: u8,
    /// Size in pixels according to the file.
    area: Option<f64>,
    /// The byte range of its outline in the file.
    start: u64,
    length: usize,
}

/// Whether the folder contains annotation files.
fn is_here(root: &Path) -> bool {
    !files(root).is_empty()
}

/// Whether there is an annotation file for the split.
fn has_split(root: &Path, split: &str) -> bool {
    files(root).iter().any(|name| is_of(name, split))
}

/// Names of all splits with their years, sorted.
fn files(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix(PREFIX)?.strip_suffix(".json")?.to_owned())).collect();
    names.sort();
    names
}

/// Whether `name` is the split, with or without a year.
fn is_of(name: &str, split: &str) -> bool {
    name.strip_prefix(split).is_some_and(|year| year.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The only file of a split.
fn find(root: &Path, split: &str) -> Result<String> {
    let (names, folder) = (files(root), root.join(FOLDER));
    let list = |names: &[String]| format!("use one of: {}", names.join(", "));
    if names.iter().any(|name| name == split) {
        return Ok(split.to_owned());
    }
    let of_split: Vec<String> = names.iter().filter(|name| is_of(name, split)).cloned().collect();
    match &of_split[..] {
        [name] => Ok(name.clone()),
        [] => Err(Error::data(folder, format!("there is no split `{split}`"), list(&names))),
        _ => Err(Error::data(folder, format!("split `{split}` is ambiguous"), list(&of_split))),
    }
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let name = find(root, split)?;
    let path = root.join(FOLDER).join(format!("{PREFIX}{name}.json"));
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| {
        let reason = format!("is not an annotation file of MS-COCO ({})", one_line(&error));
        Error::data(&path, reason, "expected {\"images\": [...], \"annotations\": [...], \"categories\": [...]}")
    })?;
    let (classes, values) = classes(&contents, &path)?;
    if let Some(expected) = options.classes.as_ref().filter(|expected| expected.len() != classes.len()) {
        let reason = format!("has {} categories, but {} are expected", classes.len(), expected.len());
        return Err(Error::data(path, reason, "use the categories that the model was trained with"));
    }

    let mut drawings = drawings(&contents);
    let places: HashMap<u64, usize> = contents.images.iter().map(|image| image.id).zip(0..).collect();
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
        drawings[*place].objects.push(Object { value: *value, area: annotation.area, start, length: outline.len() });
    }

    let folders = [&name[..], &format!("images/{name}"), "images", &format!("JPEGImages/{name}"), "JPEGImages"];
    let folders = folders.map(|folder| root.join(folder));
    let (mut ids, mut images, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    let empty = drawings.iter().filter(|drawing| drawing.objects.is_empty()).count();
    for (image, drawing) in contents.images.iter().zip(drawings).filter(|(_, drawing)| !drawing.objects.is_empty()) {
        let found = folders.iter().map(|folder| folder.join(&*image.file_name)).find(|path| path.is_file());
        let Some(found) = found else {
            let reason = format!("image `{}` of split `{name}` is missing", image.file_name);
            on_fault(Error::data(&folders[0], reason, "unpack the images there or in images/"))?;
            continue;
        };
        ids.push(Path::new(&*image.file_name).with_extension("").to_string_lossy().into_owned());
        images.push(found);
        kept.push(drawing);
    }
    if ids.is_empty() {
        return Err(Error::data(path, "lists no image with objects", "use MS-COCO's instances file"));
    }
    let mut notices = Vec::new();
    if empty > 0 {
        notices.push(format!("skipped {empty} of {} images without objects", contents.images.len()));
    }
    let tags = Tags::of_values(classes, kept.iter().map(|drawing| drawing.objects.iter().map(|object| object.value)));
    let images = Images::new(root, &name, ids, images, Drawings { path, images: kept });
    Ok(Dataset::new(images, tags, notices))
}

/// Class names in the order of the categories' ids, and the mask value of each id.
fn classes(contents: &Contents, path: &Path) -> Result<(Vec<String>, HashMap<u64, u8>)> {
    let mut categories: Vec<_> = contents.categories.iter().collect();
    categories.sort_by_key(|category| category.id);
    let names: Vec<String> = categories.iter().map(|category| category.name.clone().into_owned()).collect();
    check_classes(&names, path)?;
    Ok((names, categories.iter().map(|category| category.id).zip(1..).collect()))
}

/// An empty drawing for every image.
fn drawings(contents: &Contents) -> Vec<Drawing> {
    let blank = |image: &Image| Drawing { height: image.height, width: image.width, objects: Vec::new() };
    contents.images.iter().map(blank).collect()
}

impl Masks for Drawings {
    fn path(&self, _: usize) -> Option<PathBuf> {
        Some(self.path.clone())
    }

    fn read(&self, place: usize) -> Result<(PathBuf, Mask)> {
        Ok((self.path.clone(), self.draw(place)?))
    }
}

impl Drawings {
    /// Draws the mask of the image at `place`.
    fn draw(&self, place: usize) -> Result<Mask> {
        let Drawing { height, width, objects } = &self.images[place];
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
            let reason = format!("the segmentation at byte {} {reason}", object.start);
            Error::data(&self.path, reason, "use MS-COCO's polygons or run-length codes")
        })?;
        let covered = || spans.iter().map(|[start, end]| end - start).sum::<usize>() as f64;
        Ok((object.area.unwrap_or_else(covered), object.value, spans))
    }
}
