//! The images of a folder that a person gives tags, and those that they have.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::files::{Pictures, unread};
use crate::data::layouts::tagged::Files;
use crate::data::open::Form;
use crate::data::tag_sources::labels::{FILE, Labels, NamedTags};
use crate::error::{Error, Result};

/// The images of a folder, and their tags.
pub(crate) struct ToTag {
    /// Their ids, as `labels.json` names them.
    pub(crate) ids: Vec<String>,
    /// Their files.
    pub(crate) paths: Vec<PathBuf>,
    /// Classes and tags: those of `labels.json`, or those that training would read as long as there is none.
    pub(crate) labels: Labels,
}

impl ToTag {
    /// The images of a data set, or all below a folder that is none.
    ///
    /// # Errors
    /// If there is no image, or its tags cannot be read, or they are kept in a form that is not written.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let form = Form::find(root, DataForm::Auto)?.found();
        let found = match form {
            Some(DataForm::Voc) => listed(root)?,
            Some(DataForm::Coco) => {
                let remedy = "change them with the program that wrote them, or give a folder of the images alone";
                return Err(Error::data(root, "keeps its tags in annotation files", remedy));
            }
            _ => below(root, form)?,
        };
        if !found.ids.is_empty() {
            return Ok(found);
        }
        let others = Pictures::below(root)?.unread;
        match others.first() {
            Some(first) => Err(unread(first, others.len())),
            None => {
                let remedy = "put .jpg or .png files into it, or into folders in it";
                Err(Error::data(root, "contains no images", remedy))
            }
        }
    }
}

/// The images in the lists of a data set's splits.
fn listed(root: &Path) -> Result<ToTag> {
    let mut found = ToTag { ids: Vec::new(), paths: Vec::new(), labels: Labels::default() };
    let (mut known, mut named, mut classes) = (HashSet::new(), NamedTags::new(), None);
    for split in [Dataset::train_split(root, "auto"), "train", "val"] {
        if !Dataset::has_split(root, split) {
            continue;
        }
        let opened =
            Dataset::open(root, split, &DatasetOptions { classes: classes.clone(), ..DatasetOptions::default() })?;
        for (index, id) in opened.ids().iter().enumerate().filter(|(_, id)| known.insert((*id).clone())) {
            found.ids.push(id.clone());
            found.paths.push(opened.image_path(index).to_owned());
            named.insert(id.clone(), names(&opened, index));
        }
        classes.get_or_insert_with(|| opened.classes().to_vec());
    }
    found.labels = match read(root)? {
        Some(labels) if labels.tags.is_some() => labels,
        _ => Labels { classes: classes.unwrap_or_default(), tags: Some(named), ..Labels::default() },
    };
    Ok(found)
}

/// All images below a folder, with the tags of its data set if there is one.
fn below(root: &Path, form: Option<DataForm>) -> Result<ToTag> {
    let files = Files::below(root)?;
    // Where images are beside folders, the folders are no classes.
    let among_folders =
        || form == Some(DataForm::Folders) && files.paths.iter().any(|path| path.parent() == Some(root));
    let mut labels = match read(root)? {
        Some(labels) => labels,
        None if form.is_some() && !among_folders() => {
            let opened = Dataset::open(root, "train", &DatasetOptions::default())?;
            let ids: HashMap<_, _> = files.paths.iter().zip(&files.ids).collect();
            let tags = (0..opened.len()).filter_map(|index| {
                let id = ids.get(&opened.image_path(index).to_owned())?;
                Some(((*id).clone(), names(&opened, index)))
            });
            Labels { classes: opened.classes().to_vec(), tags: Some(tags.collect()), ..Labels::default() }
        }
        None => Labels::default(),
    };
    if let Some(tags) = &mut labels.tags {
        files.unite(tags);
    }
    Ok(ToTag { ids: files.ids, paths: files.paths, labels })
}

fn read(root: &Path) -> Result<Option<Labels>> {
    let file = root.join(FILE);
    if file.is_file() { Labels::read(&file).map(Some) } else { Ok(None) }
}

/// The names of an image's tags.
fn names(opened: &Dataset, index: usize) -> Vec<String> {
    let tagged = opened.classes().iter().zip(opened.tags(index)).filter(|(_, tag)| **tag > 0.0);
    tagged.map(|(name, _)| name.clone()).collect()
}
