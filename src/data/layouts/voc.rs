//! The PASCAL VOC layout (method.md 8.1), and MS-COCO in folders of the same kind (method.md 8.2).
//!
//! ```text
//! JPEGImages/<id>.jpg | .png | …
//! ImageSets/Segmentation/<split>.txt          one id per line
//! SegmentationClassAug/<id>.png               masks; else SegmentationClass/
//! labels.json | cls_labels_onehot.npy | …     tags, see `data::tag_sources`
//! ```
//!
//! Images and masks may also be in subfolders `train` or `val`, and test images in `JPEGImages_test`.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::{FORMATS, spellings};
use crate::data::ids::readings;
use crate::data::images::{Images, Masks};
use crate::data::layouts::layout::{Layout, Sign};
use crate::data::palette::read_index_png;
use crate::data::picture::Mask;
use crate::data::tag_source::{Found, read_tags};
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

/// PASCAL VOC, see the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Voc,
    name: "PASCAL VOC",
    description: "PASCAL VOC layout: JPEGImages/ and ImageSets/Segmentation/<split>.txt",
    folders: &[IMAGE_FOLDER, SPLIT_FOLDER],
    sign,
    has_split,
    open,
};

const IMAGE_FOLDER: &str = "JPEGImages";
const TEST_FOLDER: &str = "JPEGImages_test";
const SPLIT_FOLDER: &str = "ImageSets/Segmentation";
const MASK_ENDINGS: [&str; 3] = ["png", "PNG", "Png"];
const MASK_FOLDERS: [&str; 2] = ["SegmentationClassAug", "SegmentationClass"];

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let mut notices = Vec::new();
    let image_folders = image_folders(root, split);
    let (mut listed, mut ids, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for (id, found) in read_split(root, split, &image_folders, &mut notices)? {
        match found {
            Ok(path) => {
                ids.push(id.clone());
                paths.push(path);
            }
            Err(error) => on_fault(error)?,
        }
        listed.push(id);
    }
    let masks = MaskFiles {
        ids: ids.clone(),
        folders: MASK_FOLDERS.iter().flat_map(|folder| nested(root, folder, split)).collect(),
        image_folders: image_folders.clone(),
        split: split.to_owned(),
    };
    let images = Images::new(root, split, ids, paths, masks).turned(options.upright);
    let everywhere = all_image_folders(root);
    let all = LazyCell::new(|| all_listed(root));
    let id_of = |text: &str| {
        let readings = readings(text);
        let listed = readings.iter().find(|id| all.contains(*id));
        listed.or_else(|| readings.iter().find(|id| find_image(&everywhere, split, id).is_ok())).cloned()
    };
    let Found { tags, notice } = read_tags(&images, &listed, SPLIT_FOLDER, &id_of, options, on_fault)?;
    notices.extend(notice);
    Ok(Dataset::new(images, tags, notices))
}

/// The folder of lists of splits.
fn sign(root: &Path) -> Option<Sign> {
    root.join(SPLIT_FOLDER).is_dir().then(|| Sign::clear(format!("{SPLIT_FOLDER}/")))
}

/// Whether there is a list of the split.
fn has_split(root: &Path, split: &str) -> bool {
    list_path(root, split).is_file()
}

fn list_path(root: &Path, split: &str) -> PathBuf {
    root.join(SPLIT_FOLDER).join(format!("{split}.txt"))
}

/// The id of a listed image, and its file.
type Listed = (String, Result<PathBuf>);

/// The ids of a split, each once, in the order of its list, and their images. A line may hold the path of an image
/// instead of its id.
fn read_split(root: &Path, split: &str, folders: &[PathBuf], notices: &mut Vec<String>) -> Result<Vec<Listed>> {
    let path = list_path(root, split);
    if !path.is_file() {
        return Err(unknown_split(path, root, split));
    }
    let text = read_text(&path)?;
    let (mut images, mut seen, mut repeated, mut paths) = (Vec::new(), HashSet::new(), 0, 0);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let found = readings(line).into_iter().find_map(|id| {
            let path = find_image(folders, split, &id).ok()?;
            Some((id, Ok(path)))
        });
        let (id, image) = found.unwrap_or_else(|| (line.to_owned(), find_image(folders, split, line)));
        paths += usize::from(id != line);
        if seen.insert(id.clone()) {
            images.push((id, image));
        } else {
            repeated += 1;
        }
    }
    if paths > 0 {
        notices.push(format!(
            "{paths} lines of {split}.txt are names or paths of files; each is read as the id of its image"
        ));
    }
    if repeated > 0 {
        notices.push(format!("{split}.txt repeats {repeated} ids; each image is used once"));
    }
    if images.is_empty() {
        return Err(Error::data(path, "lists no images", "write one image id per line"));
    }
    Ok(images)
}

/// The ids in the lists of all splits.
fn all_listed(root: &Path) -> HashSet<String> {
    let entries = fs::read_dir(root.join(SPLIT_FOLDER)).into_iter().flatten().flatten();
    let lists = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let texts: Vec<String> = lists.filter_map(|path| read_text(&path).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines().map(str::trim));
    // A line with the path of an image is not its id.
    let id = |line: &str| match &readings(line)[..] {
        [literal, short, ..] if literal != short => short.clone(),
        [id, ..] => id.clone(),
        [] => line.to_owned(),
    };
    lines.filter(|line| !line.is_empty()).map(id).collect()
}

fn unknown_split(path: PathBuf, root: &Path, split: &str) -> Error {
    let entries = fs::read_dir(root.join(SPLIT_FOLDER)).into_iter().flatten().flatten();
    let lists = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "txt"));
    let mut splits: Vec<String> =
        lists.filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).collect();
    splits.sort();
    let remedy = match splits.is_empty() {
        true => "the folder contains no list: write one image id per line".to_owned(),
        false => format!("use one of: {}", splits.join(", ")),
    };
    Error::data(path, format!("there is no split `{split}`"), remedy)
}

/// The folder itself and, if splits have their own subfolders, the one for this split.
fn nested(root: &Path, folder: &str, split: &str) -> Vec<PathBuf> {
    let part = ["train", "val"].into_iter().find(|part| split.contains(part)).map(|part| root.join(folder).join(part));
    part.into_iter().filter(|part| part.is_dir()).chain([root.join(folder)]).collect()
}

fn image_folders(root: &Path, split: &str) -> Vec<PathBuf> {
    let mut folders = nested(root, IMAGE_FOLDER, split);
    folders.extend(split.contains("test").then(|| root.join(TEST_FOLDER)));
    folders
}

/// The folders of the images of all splits.
fn all_image_folders(root: &Path) -> Vec<PathBuf> {
    let folder = root.join(IMAGE_FOLDER);
    vec![folder.join("train"), folder.join("val"), folder, root.join(TEST_FOLDER)]
}

fn find_image(folders: &[PathBuf], split: &str, id: &str) -> Result<PathBuf> {
    let mut paths =
        folders.iter().flat_map(|folder| spellings().map(move |ending| folder.join(format!("{id}.{ending}"))));
    paths.find(|path| path.is_file()).ok_or_else(|| {
        let reason = format!("image `{id}` of split `{split}` is missing ({FORMATS})");
        Error::data(&folders[0], reason, format!("add the image, or remove its line from {SPLIT_FOLDER}/{split}.txt"))
    })
}

/// Masks in PNG files named like the images.
#[derive(Debug)]
struct MaskFiles {
    ids: Vec<String>,
    /// Searched in order.
    folders: Vec<PathBuf>,
    /// Folders of the split's images, including images that it does not list.
    image_folders: Vec<PathBuf>,
    split: String,
}

impl Masks for MaskFiles {
    fn path(&self, place: usize) -> Option<PathBuf> {
        let named = |ending| format!("{}.{ending}", self.ids[place]);
        let paths = self.folders.iter().flat_map(|folder| MASK_ENDINGS.map(|ending| folder.join(named(ending))));
        paths.into_iter().find(|path| path.is_file())
    }

    fn why_missing(&self, place: usize) -> Option<String> {
        let id = &self.ids[place];
        let named = |folder: &PathBuf, ending: String| folder.join(format!("{id}.{ending}"));
        let mut paths = self.folders.iter().flat_map(|folder| spellings().map(move |ending| named(folder, ending)));
        Some(format!("{} is not a PNG file", paths.find(|path| path.is_file())?.display()))
    }

    fn read(&self, place: usize) -> Result<(PathBuf, Mask)> {
        let path = self.path(place).ok_or_else(|| {
            let id = &self.ids[place];
            let remedy = format!("add {id}.png, or give the images' tags in labels.json: training needs no masks");
            Error::data(&self.folders[0], format!("the mask of image `{id}` is missing"), remedy)
        })?;
        let mask = read_index_png(&path)?;
        Ok((path, mask))
    }

    /// Masks in the folders whose image is not in the folders of images either, whether it is listed or not.
    fn without_image(&self) -> Vec<PathBuf> {
        let entries = self.folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let masks = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png")));
        let mut orphans: Vec<PathBuf> = masks
            .filter(|path| {
                let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                find_image(&self.image_folders, &self.split, &id).is_err()
            })
            .collect();
        orphans.sort();
        orphans
    }
}
