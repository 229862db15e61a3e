//! `tagseg predict`: masks, overlays, seeds and pseudo labels of any images.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::batches::too_large;
use super::checkpoint::opened;
use super::model::{MapValues, Model, SeenMap, View};
use super::refine::Refiner;
use super::request::{Maps, Request, Tags};
use crate::data::endings::{FORMATS, is_picture, is_unread_picture};
use crate::data::files::is_hidden;
use crate::data::palette::write_index_png;
use crate::data::{Mask, Rgb8};
use crate::engine::gpu::DeviceChoice;
use crate::error::{Error, Result};
use crate::method::{Method, Methods, Protocol};
use crate::run::device;
use crate::run::export::{Arrangement, Export, Form, Labelled};
use crate::run::report::{Map, heat_overlay};

/// Options of a prediction.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// A run's folder or a checkpoint; without one, the network for photographs that comes with this program.
    pub network: Option<PathBuf>,
    /// Images to segment, and folders of images. They are turned as their EXIF orientation says.
    pub inputs: Vec<PathBuf>,
    /// Folder for the results.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// The forms of the results.
    pub forms: Vec<Form>,
    /// Whether to replace files that exist.
    pub overwrite: bool,
    /// The protocol of the evaluation.
    pub protocol: Protocol,
    /// Whether the dense CRF refines the masks.
    pub crf: bool,
    /// Whether to write the maps of the method too, for the classes that the classification branch predicts.
    pub seeds: bool,
    /// Options of the evaluation to override, `key=value`.
    pub assignments: Vec<String>,
    /// Where the method of the run is found.
    pub methods: Methods,
}

/// The outcome for one image.
pub enum Predicted<'a> {
    /// Its results were written.
    Mask {
        /// The image.
        image: &'a Path,
        /// Its own files, such as the mask and the overlay.
        files: &'a [PathBuf],
    },
    /// It could not be read, or is too large for the device.
    Unreadable(Error),
}

/// Writes the forms for every image, by default `NAME.png` (class indices with the VOC palette, at the image's size) and
/// `NAME_overlay.png`; `done` is called after each, with the number of images. With `seeds`, the maps that the method
/// exports are written too, as `NAME_seed.png` and `NAME_y_c.png`, indices as well, and `NAME_seed_overlay.png`. Images
/// are processed in the order of their sizes, so that one size is prepared at a time.
///
/// # Errors
/// If an input does not exist, two images share a name, or an output file exists: checked before anything is written.
/// An image that cannot be read, or is too large, is not an error, see [`Predicted::Unreadable`].
pub fn predict(options: &PredictOptions, mut done: impl FnMut(Predicted<'_>, usize)) -> Result<()> {
    let images = listed(&options.inputs)?;
    let checkpoint = opened(options.network.as_deref(), &options.assignments, &options.methods)?;
    let method = options.methods.of(&checkpoint.config)?;
    let mut export = Export::new(&options.out, &options.forms, Arrangement::Flat, &checkpoint.classes);
    let ids: Vec<_> = images.iter().map(|path| name_of(path.file_stem())).collect();
    let maps = |index: usize| files_of_maps(&*method, options.seeds, &options.out, &ids[index]);
    export.check(
        ids.iter().map(String::as_str).zip(images.iter().map(PathBuf::as_path)),
        maps,
        &[],
        options.overwrite,
    )?;
    let model = Model::of_with(&device::open(options.device.clone())?, &checkpoint, &options.methods)?;
    let crf = options.crf.then(|| Refiner::new(model.config()));
    let tags = if options.seeds { Tags::Predicted } else { Tags::Unknown };
    let request = Request { protocol: options.protocol, tags, probabilities: options.crf, maps: Maps::Written };

    let mut sized: Vec<_> = images.par_iter().map(|path| Rgb8::read_size(path).ok()).zip(0..images.len()).collect();
    sized.sort();
    let (mut view, mut any): (Option<View>, bool) = (None, false);
    for (_, index) in sized {
        let (path, id) = (&images[index], &ids[index]);
        let image = match Rgb8::read_upright(path) {
            Ok(image) => image,
            Err(error) => {
                done(Predicted::Unreadable(error), images.len());
                continue;
            }
        };
        let size = model.canvas_for(options.protocol, [image.height, image.width]);
        let fitting = view.take().filter(|view| view.size() == size);
        let prepared = fitting.map_or_else(|| model.view_for(1, size, request), Ok);
        let view = match prepared.map_err(|error| too_large(error, path)) {
            Ok(prepared) => view.insert(prepared),
            Err(error @ Error::Data { .. }) => {
                done(Predicted::Unreadable(error), images.len());
                continue;
            }
            Err(error) => return Err(error),
        };
        let seen = view.look_at(&image)?;
        if !any {
            std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
            any = true;
        }
        for map in &seen.maps {
            write_map(map, &image, &options.out, id)?;
        }
        let mask = match (&crf, seen.probabilities) {
            (Some(crf), Some(probabilities)) => crf.segmentation(&image, probabilities),
            _ => Mask::new(image.height, image.width, seen.msc.unwrap_or(seen.seg)),
        };
        let (file, tag_scores) = (name_of(path.file_name()), tag_scores(&seen.cls));
        export.add(&Labelled { index, id, file: &file, image: &image, mask: &mask, tag_scores: &tag_scores })?;
        done(Predicted::Mask { image: path, files: &export.files_of(id) }, images.len());
    }
    // The forms about all images say nothing if there is none.
    if any { export.finish() } else { Ok(()) }
}

/// The probabilities of logits.
pub(super) fn tag_scores(logits: &[f32]) -> Vec<f32> {
    logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
}

/// A name as text.
fn name_of(name: Option<&std::ffi::OsStr>) -> String {
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes a map of the method, if it has a file.
fn write_map(map: &SeenMap, image: &Rgb8, out: &Path, id: &str) -> Result<()> {
    let Some(file) = map.info.file else { return Ok(()) };
    let path = out.join(map_file(id, file));
    match &map.values {
        MapValues::Labels(labels) => write_index_png(&path, &Mask::new(image.height, image.width, labels.clone())),
        MapValues::Heat(heat) => heat_overlay(image, Map::new(image.height, image.width, heat)?).write_png(&path),
    }
}

/// The files of the maps that may be written for an image.
fn files_of_maps(method: &dyn Method, maps: bool, out: &Path, id: &str) -> Vec<PathBuf> {
    let files = method.maps().iter().filter(|_| maps).filter_map(|map| map.file);
    files.map(|file| out.join(map_file(id, file))).collect()
}

/// The file of a map of an image.
fn map_file(id: &str, file: &str) -> String {
    format!("{id}_{file}.png")
}

/// Whether a file is an image, also in a format that is not read: by its ending or, if that is of no image, by its first
/// bytes.
pub fn is_image(path: &Path) -> bool {
    let begins = || {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut head));
        read.is_ok() && image::guess_format(&head).is_ok()
    };
    is_picture(path) || is_unread_picture(path) || begins()
}

/// Whether there is a picture in a folder itself.
fn has_pictures(folder: &Path) -> bool {
    let mut inside = folder.read_dir().into_iter().flatten().flatten();
    inside.any(|entry| is_picture(&entry.path()) && !is_hidden(&entry.path()))
}

/// All images of `inputs`; those of folders, without their folders, sorted by name.
fn listed(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for input in inputs {
        let facts = std::fs::metadata(input).map_err(Error::io(input))?;
        if !facts.is_dir() {
            images.push(input.clone());
            continue;
        }
        let entries = input.read_dir().map_err(Error::io(input))?;
        let (mut found, mut others, mut folders) = (Vec::new(), Vec::new(), Vec::new());
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !is_hidden(path)) {
            // A link to nothing is one of the pictures, which will be reported.
            if is_picture(&path) && !path.is_dir() {
                found.push(path);
            } else if is_unread_picture(&path) {
                others.push(path);
            } else if path.is_dir() && has_pictures(&path) {
                folders.push(path);
            }
        }
        if let (Some(first), false) = (folders.iter().min(), found.is_empty()) {
            let (folder, count, first) = (input.display(), folders.len(), first.display());
            eprintln!("{folder}: skipped {count} folders of images, such as {first}; name them to segment those, too");
        }
        if let Some(first) = others.iter().min() {
            let (folder, count, first) = (input.display(), others.len(), first.display());
            eprintln!("{folder}: skipped {count} files that are not {FORMATS}, such as {first}");
        }
        if found.is_empty() {
            let remedy = match folders.iter().min() {
                Some(first) => format!("name its folders, such as {}", first.display()),
                None => format!("give a folder of pictures ({FORMATS})"),
            };
            return Err(Error::data(input, "contains no images", remedy));
        }
        found.sort();
        images.extend(found);
    }
    Ok(images)
}
