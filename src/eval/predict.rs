//! `tagseg predict`: masks and overlays of any images.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::model::{Model, View};
use crate::data::Rgb8;
use crate::data::palette::write_index_png;
use crate::error::{Error, Result};
use crate::gpu::DeviceChoice;
use crate::report::{Map, label_overlay, photo_of};

/// What a prediction needs.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// A run's folder or a checkpoint.
    pub network: PathBuf,
    /// Images to segment.
    pub images: Vec<PathBuf>,
    /// Folder for the results.
    pub out: PathBuf,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Whether to replace files that exist.
    pub overwrite: bool,
}

/// Writes `NAME.png` (class indices with the VOC palette) and `NAME_overlay.png` for every image; `done` is called
/// after each with the mask's path.
///
/// # Errors
/// If an image cannot be read, two images share a name, or a file exists already: all found before anything is
/// written.
pub fn predict(options: &PredictOptions, mut done: impl FnMut(&Path)) -> Result<()> {
    check_images(&options.images)?;
    let mut targets: HashMap<PathBuf, &PathBuf> = HashMap::new();
    for path in &options.images {
        for target in targets_of(path, &options.out) {
            if options.images.iter().any(|image| same_file(image, &target)) {
                return Err(Error::data(target, "is one of the images to segment", "choose another --out"));
            }
            if let Some(other) = targets.insert(target.clone(), path) {
                let reason = format!("would be the result of both {} and {}", other.display(), path.display());
                return Err(Error::data(target, reason, "give them different names or folders"));
            }
            if target.exists() && !options.overwrite {
                return Err(Error::data(target, "exists already", "choose another --out or give --overwrite"));
            }
        }
    }
    let model = Model::load(&options.network, &options.device)?;
    std::fs::create_dir_all(&options.out).map_err(Error::io(&options.out))?;
    let mut view: Option<View> = None;
    for path in &options.images {
        let image = Rgb8::read(path)?;
        let size = model.canvas([image.height, image.width]);
        let fitting = view.take().filter(|view| view.size() == size);
        let view = view.insert(fitting.map_or_else(|| model.view(1, size, None), Ok)?);
        let mask = view.segment(&image)?;
        let overlay = label_overlay(&photo_of(&image)?, Map::new(mask.height, mask.width, &mask.data)?);
        let [mask_path, overlay_path] = targets_of(path, &options.out);
        write_index_png(&mask_path, &mask)?;
        overlay.save(&overlay_path).map_err(|error| Error::data(&overlay_path, error.to_string(), "check the disk"))?;
        done(&mask_path);
    }
    Ok(())
}

/// Decodes every image once, so that a broken one shows before the first result is written.
fn check_images(images: &[PathBuf]) -> Result<()> {
    let broken = images.par_iter().find_map_first(|path| Rgb8::read(path).err());
    broken.map_or(Ok(()), Err)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn targets_of(image: &Path, out: &Path) -> [PathBuf; 2] {
    let stem = image.file_stem().unwrap_or_default().to_string_lossy();
    [out.join(format!("{stem}.png")), out.join(format!("{stem}_overlay.png"))]
}
