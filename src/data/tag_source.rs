//! Where the tags of a split in PASCAL VOC layout come from: the first of these that is there.
//!
//! | Place | Class names |
//! |---|---|
//! | `labels.json` with `tags` | in it |
//! | `cls_labels_onehot.npy`, also beside the lists | PASCAL VOC's for 20 columns, else numbers |
//! | `<split>.npy` beside `<split>.txt` | as above |
//! | `labels.csv` | all tags in it, sorted |
//! | the masks, if every image has one | numbers |
//! | `Annotations/<id>.xml` | all names in the split, sorted |
//!
//! A `labels.json` with `classes` alone names the classes for all of them; else those of a trained model do.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::tag_files::{Labels, names_in, read_annotation, read_csv, read_matrix, read_onehot};
use crate::data::tags::{MAX_CLASSES, OnFault, Tags, check_classes, classes_shown, numbered_classes};
use crate::data::voc::SPLIT_FOLDER;
use crate::error::{Error, Result};

const LABEL_FILE: &str = "labels.json";
const ONEHOT_FILE: &str = "cls_labels_onehot.npy";
const CSV_FILE: &str = "labels.csv";
const ANNOTATION_FOLDER: &str = "Annotations";

/// Reads the tags of all images of `dataset`. `listed` is its list, also with images that are missing.
///
/// # Errors
///
/// When a file cannot be used; a single image's tags may be gone on from.
pub(super) fn read_tags(
    dataset: &mut Dataset,
    listed: &[String],
    options: &DatasetOptions,
    on_fault: OnFault,
) -> Result<Tags> {
    let (root, split) = (dataset.root.clone(), dataset.split.clone());
    let at = |name: &str| Some(root.join(name)).filter(|path| path.exists());
    let mut named = options.classes.clone();
    if let Some(path) = at(LABEL_FILE) {
        let Labels { classes, tags } = Labels::read(&path)?;
        if let Some(expected) = named.filter(|expected| expected.len() != classes.len()) {
            let reason = format!("lists {} classes, {} are expected", classes.len(), expected.len());
            return Err(Error::data(path, reason, "use the class list that the model was trained with"));
        }
        if let Some(tags) = tags {
            return tags_by_name(classes, &tags, dataset, &path, on_fault);
        }
        named = Some(classes);
    }
    if let Some(path) = at(ONEHOT_FILE).or_else(|| at(&format!("{SPLIT_FOLDER}/{ONEHOT_FILE}"))) {
        dataset.notice_source(&path);
        return read_onehot(&path, &dataset.ids, named.as_deref(), on_fault);
    }
    if let Some(path) = at(&format!("{SPLIT_FOLDER}/{split}.npy")) {
        dataset.notice_source(&path);
        let present: HashSet<&String> = dataset.ids.iter().collect();
        let keep: Vec<bool> = listed.iter().map(|id| present.contains(id)).collect();
        let mut tags = read_matrix(&path, listed.len(), named.as_deref())?;
        tags.retain(&keep);
        return Ok(tags);
    }
    if let Some(path) = at(CSV_FILE) {
        dataset.notice_source(&path);
        let tags = read_csv(&path)?;
        let classes = named.unwrap_or_else(|| names_in(tags.values()));
        return tags_by_name(classes, &tags, dataset, &path, on_fault);
    }
    if let Some(folder) = at(ANNOTATION_FOLDER).filter(|_| !dataset.has_masks()) {
        dataset.notice_source(&folder);
        let read = |id: &String| read_annotation(&folder.join(format!("{id}.xml"))).map(|names| (id.clone(), names));
        let mut tags = HashMap::new();
        for read in dataset.ids.par_iter().map(read).collect::<Vec<_>>() {
            match read {
                Ok((id, names)) => _ = tags.insert(id, names),
                Err(error) => on_fault(error)?,
            }
        }
        let classes = named.unwrap_or_else(|| names_in(tags.values()));
        return tags_by_name(classes, &tags, dataset, &folder, on_fault);
    }
    derive_tags(dataset, named, on_fault)
}

fn tags_by_name(
    classes: Vec<String>,
    tags: &HashMap<String, Vec<String>>,
    dataset: &Dataset,
    path: &Path,
    on_fault: OnFault,
) -> Result<Tags> {
    check_classes(&classes, path)?;
    Tags::by_name(classes, &dataset.ids, path, tags, on_fault)
}

/// Tags from the masks: an image has the tag of every class that its mask shows.
fn derive_tags(dataset: &mut Dataset, named: Option<Vec<String>>, on_fault: OnFault) -> Result<Tags> {
    let limit = named.as_ref().map_or(MAX_CLASSES, Vec::len);
    let derive = |index| Ok(classes_shown(&dataset.mask_within(index, limit)?));
    let mut shown: Vec<Vec<u8>> = Vec::with_capacity(dataset.len());
    for derived in (0..dataset.len()).into_par_iter().map(derive).collect::<Vec<_>>() {
        shown.push(derived.or_else(|error| on_fault(error).map(|()| Vec::new()))?);
    }
    let largest = shown.iter().flatten().copied().max().map_or(0, usize::from);
    let classes = named.unwrap_or_else(|| numbered_classes(largest));
    let count = classes.len();
    if count == 0 {
        let reason = format!("the masks of split `{}` show no class", dataset.split);
        return Err(Error::data(&dataset.root, reason, "add masks with values above 0, or tags in labels.json"));
    }
    dataset.notices.push(format!("{LABEL_FILE} gives no tags: they were derived from the masks ({count} classes)"));
    Ok(Tags::of_values(classes, shown))
}
