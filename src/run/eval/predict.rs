//! `tagseg predict`: masks, overlays, seeds and pseudo labels of any images.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::checkpoint::opened;
use super::model::{MapValues, Model, View};
use super::request::{Request, Tags};
use crate::data::endings::{FORMATS, is_picture, is_unread_picture};
use crate::data::palette::write_index_png;
use crate::data::{Mask, Rgb8};
use crate::engine::gpu::DeviceChoice;
use crate::error::{Error, Result};
use crate::method::{Method, Methods, Protocol};
use crate::parts::crf::DenseCrf;
use crate::run::device;
use crate::run::report::{Map, heat_overlay, label_overlay};

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
        /// The class indices.
        mask: &'a Path,
        /// The image with its classes drawn over it.
        overlay: &'a Path,
    },
    /// It could not be read.
    Unreadable(Error),
}

/// The endings of the files written for every image.
const MASK: &str = ".png";
const OVERLAY: &str = "_overlay.png";

/// Writes `NAME.png` (class indices with the VOC palette, at the image's size) and `NAME_overlay.png` for every image;
/// `done` is called after each, with the number of images. With `seeds`, the maps that the method exports are written
/// too, as `NAME_seed.png` and `NAME_y_c.png`, indices as well, and `NAME_seed_overlay.png`. Images are processed in
/// the order of their sizes, so that one size is prepared at a time.
///
/// # Errors
/// If an input does not exist, two images share a name, or an output file exists: checked before anything is written.
/// An image that cannot be read is not an error, see [`Predicted::Unreadable`].
pub fn predict(options: &PredictOptions, mut done: impl FnMut(Predicted<'_>, usize)) -> Result<()> {
    let images = listed(&options.inputs)?;
    let checkpoint = opened(options.network.as_deref(), &options.assignments, &options.methods)?;
    let method = options.methods.of(&checkpoint.config)?;
    check_targets(&images, &endings(&*method, options.seeds), options)?;
    let model = Model::of_with(&device::open(options.device.clone())?, &checkpoint, &options.methods)?;
    std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
    let crf = options.crf.then(|| DenseCrf::new(model.config()));
    let tags = if options.seeds { Tags::Predicted } else { Tags::Unknown };
    let request = Request { protocol: options.protocol, tags, probabilities: options.crf, map: None };

    let mut sized: Vec<_> = images.par_iter().map(|path| (Rgb8::read_size(path).ok(), path)).collect();
    sized.sort();
    let mut view: Option<View> = None;
    for (_, path) in sized {
        let image = match Rgb8::read_upright(path) {
            Ok(image) => image,
            Err(error) => {
                done(Predicted::Unreadable(error), images.len());
                continue;
            }
        };
        let size = model.canvas_for(options.protocol, [image.height, image.width]);
        let fitting = view.take().filter(|view| view.size() == size);
        let view = view.insert(fitting.map_or_else(|| model.view_for(1, size, request), Ok)?);
        let [mask, overlay] = write_results(view, &image, crf.as_ref(), path, &options.out)?;
        done(Predicted::Mask { mask: &mask, overlay: &overlay }, images.len());
    }
    Ok(())
}

/// Evaluates one image and writes the results; returns the paths of its mask and its overlay.
fn write_results(
    view: &mut View,
    image: &Rgb8,
    crf: Option<&DenseCrf>,
    path: &Path,
    out: &Path,
) -> Result<[PathBuf; 2]> {
    let seen = view.look_at(image)?;
    let mask = match (crf, seen.probabilities) {
        (Some(crf), Some(probabilities)) => crf.infer(image, &probabilities).labels(),
        _ => Mask::new(image.height, image.width, seen.msc.unwrap_or(seen.seg)),
    };
    let [mask_path, overlay_path] = [MASK, OVERLAY].map(|ending| target(path, out, ending));
    let overlay = label_overlay(image, Map::new(mask.height, mask.width, &mask.data)?);
    overlay.write_png(&overlay_path)?;
    for map in seen.maps {
        let Some(file) = map.info.file else { continue };
        let path = target(path, out, &map_ending(file));
        match map.values {
            MapValues::Labels(labels) => write_index_png(&path, &Mask::new(image.height, image.width, labels))?,
            MapValues::Heat(heat) => {
                heat_overlay(image, Map::new(image.height, image.width, &heat)?).write_png(&path)?;
            }
        }
    }
    write_index_png(&mask_path, &mask)?;
    Ok([mask_path, overlay_path])
}

/// The endings of all files that may be written for an image.
fn endings(method: &dyn Method, maps: bool) -> Vec<String> {
    let files = method.maps().iter().filter(|_| maps).filter_map(|map| map.file);
    [MASK, OVERLAY].into_iter().map(String::from).chain(files.map(map_ending)).collect()
}

/// The ending of the file of a map.
fn map_ending(file: &str) -> String {
    format!("_{file}.png")
}

/// Whether a file has the ending of an image, also of one in a format that is not read.
pub fn is_called_like_an_image(path: &Path) -> bool {
    is_picture(path) || is_unread_picture(path)
}

/// All images of `inputs`; those of folders sorted by name.
fn listed(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for input in inputs {
        let facts = std::fs::metadata(input).map_err(Error::io(input))?;
        if !facts.is_dir() {
            images.push(input.clone());
            continue;
        }
        let entries = input.read_dir().map_err(Error::io(input))?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if is_picture(&path) && path.is_file() {
                found.push(path);
            } else if is_unread_picture(&path) {
                others.push(path);
            }
        }
        if let Some(first) = others.iter().min() {
            let (folder, count, first) = (input.display(), others.len(), first.display());
            eprintln!("{folder}: skipped {count} files that are not {FORMATS}, such as {first}");
        }
        if found.is_empty() {
            return Err(Error::data(input, "contains no images", format!("give a folder of pictures ({FORMATS})")));
        }
        found.sort();
        images.extend(found);
    }
    Ok(images)
}

/// Refuses to overwrite inputs or existing files, to write two results to one file, also to names that differ in case
/// only, which are one file on some systems, and an `out` that is a file.
fn check_targets(images: &[PathBuf], endings: &[String], options: &PredictOptions) -> Result<()> {
    if options.out.is_file() {
        return Err(Error::data(&options.out, "is a file", "give the name of a folder"));
    }
    let sources: Vec<_> = images.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let sources: std::collections::HashSet<_> = sources.into_iter().collect();
    let mut targets: HashMap<OsString, &PathBuf> = HashMap::new();
    for path in images {
        for target in endings.iter().map(|ending| target(path, &options.out, ending)) {
            if target.canonicalize().is_ok_and(|target| sources.contains(&target)) {
                return Err(Error::data(target, "is one of the images to segment", "choose another --out"));
            }
            if target.exists() && !options.overwrite {
                return Err(Error::data(target, "already exists", "choose another --out or pass --overwrite"));
            }
            if let Some(other) = targets.insert(target.as_os_str().to_ascii_lowercase(), path) {
                let reason = format!("would be the result of both {} and {}", other.display(), path.display());
                return Err(Error::data(target, reason, "give them different names or folders"));
            }
        }
    }
    Ok(())
}

fn target(image: &Path, out: &Path, ending: &str) -> PathBuf {
    let mut name = image.file_stem().unwrap_or_default().to_owned();
    name.push(ending);
    out.join(name)
}
