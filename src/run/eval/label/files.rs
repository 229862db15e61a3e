//! The files of a labelled data set beside its masks: lists, tags, the summary, and copies of the images.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::options::LabelOptions;
use super::summary::LabelSummary;
use crate::data::{Dataset, Rgb8};
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::run::export::{Export, Form, create_folder_of};

/// Files of the VOC layout.
const IMAGES: &str = "JPEGImages";
const LISTS: &str = "ImageSets/Segmentation";
const TAGS: &str = "labels.json";
const SUMMARY: &str = "summary.json";

/// The name of an image's file: its id with the ending of the file.
pub(super) fn file_of(dataset: &Dataset, index: usize) -> String {
    format!("{}.{}", dataset.ids()[index], ending_of(dataset, index))
}

fn ending_of(dataset: &Dataset, index: usize) -> Cow<'_, str> {
    dataset.image_path(index).extension().unwrap_or_default().to_string_lossy()
}

/// Where an image is copied to, and whether it is turned. Its ending is that of its file, in lower case so that VOC's
/// layout finds it, or that of a PNG if it is turned.
fn copy_of(dataset: &Dataset, index: usize, out: &Path) -> (PathBuf, bool) {
    let turned = dataset.is_turned(index);
    let ending = if turned { "png".to_owned() } else { ending_of(dataset, index).to_lowercase() };
    (out.join(IMAGES).join(format!("{}.{ending}", dataset.ids()[index])), turned)
}

/// Copies the file of an image as it is, unless the image is turned: VOC's layout is read without.
pub(super) fn copy_image(dataset: &Dataset, index: usize, image: &Rgb8, out: &Path) -> Result<()> {
    let (from, (to, turned)) = (dataset.image_path(index), copy_of(dataset, index, out));
    create_folder_of(&to)?;
    if turned { image.write_png(&to) } else { write_whole(&to, &std::fs::read(from).map_err(Error::io(from))?) }
}

/// Refuses results that would replace other files, as [`Export::check`], those in the folder of the data set, where they
/// would count as the truth, and images where they would be found twice or beside other forms.
pub(super) fn check_targets(export: &Export, dataset: &Dataset, options: &LabelOptions) -> Result<()> {
    let out = &options.out;
    let same = |folder: &Path| matches!((folder.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(dataset.root()) {
        return Err(Error::data(out, "is the data set itself", "choose another --out, whose masks are not the truth"));
    }
    // A folder that does not exist yet is where its parent is.
    let parent = out.ancestors().skip(1).find_map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new(".").canonicalize().ok(),
        false => folder.canonicalize().ok(),
    });
    let inside = parent.zip(dataset.root().canonicalize().ok()).is_some_and(|(parent, root)| parent.starts_with(root));
    if inside && dataset.is_of_folders() {
        let reason = "is in the data set, whose folders are classes";
        return Err(Error::data(out, reason, "choose an --out beside it"));
    }
    if inside && options.images {
        return Err(Error::data(out, "is in the data set, where images would be twice", "choose an --out beside it"));
    }
    let trained = |form: &Form| matches!(form, Form::Png | Form::Overlay);
    if options.images && !(options.forms.contains(&Form::Png) && options.forms.iter().all(trained)) {
        let reason = "training reads the images with masks of one form, which is png";
        return Err(Error::config("--images", reason, "choose --format png, or png,overlay"));
    }
    let images = (0..dataset.len()).map(|index| (&*dataset.ids()[index], dataset.image_path(index)));
    let lists = [list_of(dataset), TAGS.into(), SUMMARY.into()].map(|file: PathBuf| out.join(file));
    let copies = |index| options.images.then(|| copy_of(dataset, index, out).0).into_iter().collect();
    export.check(images, copies, &lists, options.overwrite)
}

fn list_of(dataset: &Dataset) -> PathBuf {
    Path::new(LISTS).join(format!("{}.txt", dataset.split()))
}

/// Writes the list of ids, the tags and the summary, which comes last: where it is, the labels are complete.
pub(super) fn write_lists(dataset: &Dataset, summary: &LabelSummary, out: &Path) -> Result<()> {
    let list = out.join(list_of(dataset));
    create_folder_of(&list)?;
    let ids: String = dataset.ids().iter().map(|id| format!("{id}\n")).collect();
    write_whole(&list, ids.as_bytes())?;
    let names = |index: usize| -> Vec<&str> {
        let tagged = dataset.tags(index).iter().zip(dataset.classes()).filter(|(tag, _)| **tag > 0.5);
        tagged.map(|(_, name)| name.as_str()).collect()
    };
    let tags: serde_json::Map<_, _> =
        dataset.ids().iter().zip(0..).map(|(id, index)| (id.clone(), names(index).into())).collect();
    let tags = serde_json::json!({ "classes": dataset.classes(), "tags": tags });
    write_whole(&out.join(TAGS), format!("{tags}\n").as_bytes())?;
    let text = serde_json::to_string_pretty(summary).map_err(|error| Error::Graph(error.to_string()))?;
    write_whole(&out.join(SUMMARY), format!("{text}\n").as_bytes())
}
