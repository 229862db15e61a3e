//! Images with `labels.json` beside them, as `tagseg tag` writes it.
//!
//! ```text
//! labels.json           {"classes": [name, …], "tags": {id: [name, …], …}}
//! <any folders>/<any name>.jpg | .jpeg | .png
//! ```
//!
//! The id of an image is its path below the folder, without the ending. All images are the split `train`, but those
//! without an entry, and those below a folder `val` or `test`, also by its other names, are left out. There are no masks.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::coco::is_annotations;
use super::folders::{first_of_same_content, split_of};
use super::layout::{Layout, Sign};
use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::bare;
use crate::data::files::Pictures;
use crate::data::ids::make_distinct;
use crate::data::images::{Images, NoMasks};
use crate::data::tag_sources::labels::{FILE, Labels, NamedTags};
use crate::data::tags::{OnFault, Tags};
use crate::error::{Error, Result};

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Labels,
    name: "images with labels.json beside them",
    description: "images with labels.json beside them",
    folders: &[],
    sign,
    has_split,
    open,
};

/// The only split.
const TRAIN: &str = "train";

/// Whether an image is below a folder of a split that is not trained on.
fn is_held_out(id: &str) -> bool {
    id.split_once('/').and_then(|(first, _)| split_of(first)).is_some_and(|split| split != TRAIN)
}

/// A `labels.json` with tags. One that cannot be read counts, so that its error is reported, unless it is another
/// program's file of that name.
fn sign(root: &Path) -> Option<Sign> {
    let path = root.join(FILE);
    let has_tags = || Labels::read(&path).map_or(true, |labels| labels.tags.is_some());
    (path.is_file() && !is_annotations(&path) && has_tags()).then(|| Sign::clear(FILE))
}

fn has_split(_: &Path, split: &str) -> bool {
    split == TRAIN
}

/// The images below a folder.
pub(crate) struct Files {
    /// Their ids, sorted.
    pub(crate) ids: Vec<String>,
    /// Their files.
    pub(crate) paths: Vec<PathBuf>,
    /// Ids of files that repeat the content of another, and the id of that image.
    pub(crate) repeats: HashMap<String, String>,
}

impl Files {
    /// # Errors
    /// If a file or a folder cannot be read.
    pub(crate) fn below(root: &Path) -> Result<Self> {
        let pictures = Pictures::below(root)?;
        let found: Vec<PathBuf> = (0..pictures.len()).map(|index| pictures.path(index).to_owned()).collect();
        let mut all: Vec<_> = (0..pictures.len()).map(|index| bare(&pictures.relative(index)).to_owned()).collect();
        make_distinct(&mut all, &found);
        let firsts = first_of_same_content(&found)?;
        let mut files = Files { ids: Vec::new(), paths: Vec::new(), repeats: HashMap::new() };
        for (index, path) in found.into_iter().enumerate() {
            if firsts[index] == index {
                files.ids.push(all[index].clone());
                files.paths.push(path);
            } else {
                files.repeats.insert(all[index].clone(), all[firsts[index]].clone());
            }
        }
        Ok(files)
    }

    /// Unites the tags of files that repeat another with those of that image. A name with the ending of its picture is
    /// read as the id.
    pub(crate) fn unite(&self, named: &mut NamedTags) {
        let ids: HashSet<&String> = self.ids.iter().chain(self.repeats.keys()).collect();
        let with_ending = |name: &&String| !ids.contains(name) && ids.contains(&bare(name).to_owned());
        let full: Vec<String> = named.keys().filter(with_ending).cloned().collect();
        for name in full {
            let tags = named.remove(&name).unwrap_or_default();
            named.entry(bare(&name).to_owned()).or_default().extend(tags);
        }
        for (repeat, first) in &self.repeats {
            let Some(tags) = named.remove(repeat) else { continue };
            let own = named.entry(first.clone()).or_default();
            let new: Vec<_> = tags.into_iter().filter(|tag| !own.contains(tag)).collect();
            own.extend(new);
        }
    }
}

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let file = root.join(FILE);
    let labels = Labels::read(&file)?;
    let mut named = labels.tags.unwrap_or_default();
    if !has_split(root, split) {
        let remedy = "images with labels.json alone have the split `train`; use the layout of PASCAL VOC for others";
        return Err(Error::data(root, format!("there is no split `{split}`"), remedy));
    }
    let files = Files::below(root)?;
    files.unite(&mut named);
    let Files { ids, paths, .. } = files;
    let known: HashSet<&String> = ids.iter().collect();
    let mut absent: Vec<_> = named.keys().filter(|id| !known.contains(id)).collect();
    absent.sort();
    for id in absent {
        let reason = format!("image `{id}` has tags, but there is no such image");
        on_fault(Error::data(&file, reason, "add the image, or remove its tags"))?;
    }
    let (all, mut untagged, mut held_out) = (ids.len(), 0, 0);
    let mut is_trained_on = |id: &str| {
        let is_held_out = is_held_out(id);
        let is_tagged = named.contains_key(id);
        held_out += usize::from(is_held_out);
        untagged += usize::from(!is_held_out && !is_tagged);
        is_tagged && !is_held_out
    };
    let (ids, paths): (Vec<_>, Vec<_>) = ids.into_iter().zip(paths).filter(|(id, _)| is_trained_on(id)).unzip();
    if ids.is_empty() {
        let reason = format!("has tags of none of the {all} images beside it");
        return Err(Error::data(file, reason, format!("give them tags: `tagseg tag {}`", root.display())));
    }
    let mut notices = Vec::new();
    if untagged > 0 {
        notices.push(format!("{untagged} images have no entry in {FILE} yet and are left out"));
    }
    if held_out > 0 {
        notices.push(format!("{held_out} images below val/ and test/ are left out"));
    }
    let classes = match &options.classes {
        Some(classes) => classes.clone(),
        None => labels.classes,
    };
    let tags = Tags::by_name(classes, &ids, &file, &named, on_fault)?;
    let masks = NoMasks::new(root, "images with labels.json alone have no masks");
    Ok(Dataset::new(Images::new(root, split, ids, paths, masks).turned(true), tags, notices))
}
