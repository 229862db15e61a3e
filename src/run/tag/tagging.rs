//! The images of a folder, their tags, and changes of them.
//!
//! The tags are those of `labels.json` in the folder. Where there is none yet, they are those that training would read,
//! such as the names of folders, and the first change writes them all. Every change is one tag of one image, so changes
//! from two windows, or from an editor that has the file open, never undo each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::data::tags::check_classes;
use crate::data::{LABELS_FILE, Labels, ToTag};
use crate::error::{Error, Result};
use crate::formats::lock::try_lock;

/// A change of one image's tags, or of the list of classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The image, by its index.
    pub image: Option<usize>,
    /// A class that it shows.
    pub add: Option<String>,
    /// A class that it does not show.
    pub remove: Option<String>,
    /// `true` gives an image without an entry an empty one: it shows none of the classes. `false` removes an empty
    /// entry.
    pub seen: Option<bool>,
    /// Whether a person doubts its tags.
    pub doubtful: Option<bool>,
    /// A class to append to the list.
    pub class: Option<String>,
}

/// What is known of one image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tagged {
    /// Its index.
    pub index: usize,
    /// Its id.
    pub id: String,
    /// Its tags; `None` if nobody has given any.
    pub tags: Option<Vec<String>>,
    /// Whether a person doubts them.
    pub doubtful: bool,
}

/// The images of a folder with their tags.
pub struct Tagging {
    file: PathBuf,
    ids: Vec<String>,
    paths: Vec<PathBuf>,
    labels: Labels,
    /// Time and length of the file as it was last read or written.
    stamp: Option<(SystemTime, u64)>,
    /// The number of the last change of each image, and of all.
    versions: Vec<u64>,
    version: u64,
    _lock: File,
}

impl Tagging {
    /// The images in `folder`: those of its data set, or all below it. `classes` are appended to those that it has.
    ///
    /// # Errors
    /// If there is no image, its tags cannot be read or are kept in a form that this does not write, a class is not a
    /// name, or another process has the folder open.
    pub fn open(folder: &Path, classes: &[String]) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::data(folder, "no such folder", "give a folder of images"));
        }
        let lock = lock(folder)?;
        let ToTag { ids, paths, labels } = ToTag::of(folder)?;
        let file = folder.join(LABELS_FILE);
        let (stamp, versions) = (stamp_of(&file), vec![1; ids.len()]);
        let mut tagging = Tagging { file, ids, paths, labels, stamp, versions, version: 1, _lock: lock };
        tagging.name_classes(classes)?;
        Ok(tagging)
    }

    /// Appends the classes that are not yet in the list.
    ///
    /// # Errors
    /// If one is not a name.
    pub fn name_classes(&mut self, classes: &[String]) -> Result<()> {
        append(&mut self.labels.classes, classes, &self.file)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no image. An opened folder has at least one.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The file of an image.
    pub fn path(&self, index: usize) -> Option<&Path> {
        self.paths.get(index).map(PathBuf::as_path)
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.labels.classes
    }

    /// The file that changes are written to.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is known of an image.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn image(&self, index: usize) -> Tagged {
        let id = self.ids[index].clone();
        let tags = self.labels.tags.as_ref().and_then(|tags| tags.get(&id)).cloned();
        Tagged { index, doubtful: self.labels.doubtful.contains(&id), id, tags }
    }

    /// The number of the last change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The images that changed after change number `since`.
    pub fn changed(&self, since: u64) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(move |&index| self.versions[index] > since)
    }

    /// Makes a change and writes the file. On an error nothing has changed.
    ///
    /// # Errors
    /// If the image or a class does not exist, a new class is no name, or the file cannot be read or written.
    pub fn change(&mut self, change: &Change) -> Result<()> {
        self.reread()?;
        let mut labels = self.labels.clone();
        apply(&mut labels, change, self.id_of(change)?, &self.file)?;
        if labels != self.labels {
            labels.write(&self.file)?;
            self.stamp = stamp_of(&self.file);
        }
        self.take(labels);
        Ok(())
    }

    /// Reads the file again if something else has written it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reread(&mut self) -> Result<()> {
        let stamp = stamp_of(&self.file);
        if stamp.is_some() && stamp != self.stamp {
            let labels = Labels::read(&self.file)?;
            self.take(labels);
            self.stamp = stamp;
        }
        Ok(())
    }

    fn id_of(&self, change: &Change) -> Result<Option<&str>> {
        let Some(index) = change.image else { return Ok(None) };
        let reason = || format!("has no image number {index}");
        let id = self.ids.get(index).ok_or_else(|| Error::data(&self.file, reason(), "load the page again"))?;
        Ok(Some(id))
    }

    /// Replaces the labels, and numbers the images that differ.
    fn take(&mut self, labels: Labels) {
        let before: Vec<_> = (0..self.len()).map(|index| self.image(index)).collect();
        let other_classes = labels.classes != self.labels.classes;
        self.labels = labels;
        let differing: Vec<_> = (0..self.len()).filter(|&index| self.image(index) != before[index]).collect();
        if other_classes || !differing.is_empty() {
            self.version += 1;
            differing.into_iter().for_each(|index| self.versions[index] = self.version);
        }
    }

    /// Numbers an image anew, since something else about it changed.
    pub fn touch(&mut self, index: usize) {
        self.version += 1;
        self.versions[index] = self.version;
    }
}

/// Makes a change of the image `id`, if it has one, or of the classes.
fn apply(labels: &mut Labels, change: &Change, id: Option<&str>, file: &Path) -> Result<()> {
    let Change { image: _, add, remove, seen, doubtful, class } = change;
    append(&mut labels.classes, class.as_slice(), file)?;
    for name in [add, remove].into_iter().flatten() {
        if !labels.classes.contains(name) {
            return Err(Error::data(file, format!("has no class `{name}`"), "add it to the classes first"));
        }
    }
    let tags = labels.tags.get_or_insert_default();
    let Some(id) = id else { return Ok(()) };
    if let Some(name) = add {
        let own = tags.entry(id.to_owned()).or_default();
        if !own.contains(name) {
            own.push(name.clone());
            own.sort_by_key(|tag| labels.classes.iter().position(|class| class == tag));
        }
    }
    if let (Some(name), Some(own)) = (remove, tags.get_mut(id)) {
        own.retain(|tag| tag != name);
    }
    match seen {
        Some(true) => _ = tags.entry(id.to_owned()).or_default(),
        Some(false) if tags.get(id).is_some_and(Vec::is_empty) => _ = tags.remove(id),
        _ => (),
    }
    match doubtful {
        Some(true) => _ = labels.doubtful.insert(id.to_owned()),
        Some(false) => _ = labels.doubtful.remove(id),
        None => (),
    }
    Ok(())
}

/// Appends the classes that are not yet among `classes`.
fn append(classes: &mut Vec<String>, new: &[String], file: &Path) -> Result<()> {
    let before = classes.len();
    for class in new {
        if !classes.contains(class) {
            classes.push(class.clone());
        }
    }
    if classes.len() > before { check_classes(classes, file) } else { Ok(()) }
}

/// Time and length of a file that exists.
fn stamp_of(file: &Path) -> Option<(SystemTime, u64)> {
    let facts = fs::metadata(file).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

/// Admits one process at a time, by a hidden file that is not deleted.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".tagseg-tag.lock");
    let file = File::create(&path).map_err(Error::io(&path))?;
    if !try_lock(&file, &path)? {
        let remedy = "use its page, which several windows may show, or stop it";
        return Err(Error::data(folder, "another `tagseg tag` has this folder open", remedy));
    }
    Ok(file)
}
