//! Masks written in several forms at once, into one folder.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::areas::Areas;
use super::coco::{Coco, Segmentation};
use super::cvat::Cvat;
use super::form::{Arrangement, Form};
use super::label_studio::LabelStudio;
use super::pictures::{Overlay, Png};
use super::writer::{Labelled, Writer};
use super::yolo::Yolo;
use crate::error::{Error, Result};

/// A folder of masks in some forms: [`Export::check`], [`Export::add`] for every image, [`Export::finish`].
pub struct Export {
    out: PathBuf,
    writers: Vec<Box<dyn Writer>>,
}

impl Export {
    /// Results in `out`. `classes` are the foreground classes.
    pub fn new(out: &Path, forms: &[Form], arrangement: Arrangement, classes: &[String]) -> Self {
        let writer = |form: &Form| -> Box<dyn Writer> {
            let classes = classes.to_vec();
            match form {
                Form::Png => Box::new(Png(arrangement)),
                Form::Overlay => Box::new(Overlay(arrangement)),
                Form::Coco => Box::new(Coco::new(classes, Segmentation::Runs)),
                Form::CocoPolygons => Box::new(Coco::new(classes, Segmentation::Polygons)),
                Form::YoloSeg => Box::new(Yolo::new(classes)),
                Form::LabelStudio => Box::new(LabelStudio::new(classes)),
                Form::Cvat => Box::new(Cvat::new(classes)),
                Form::Csv => Box::new(Areas::new(classes)),
            }
        };
        // Overlays are the largest files: where a disk has no room for one, nothing of its image is left.
        let mut once: Vec<Form> = Form::ALL.into_iter().filter(|form| forms.contains(form)).collect();
        once.sort_by_key(|form| *form != Form::Overlay);
        Export { out: out.to_owned(), writers: once.iter().map(writer).collect() }
    }

    /// The files of the image `id`.
    pub fn files_of(&self, id: &str) -> Vec<PathBuf> {
        self.writers.iter().flat_map(|writer| writer.files_of(id)).map(|file| self.out.join(file)).collect()
    }

    /// The files about all images.
    pub fn files(&self) -> Vec<PathBuf> {
        self.writers.iter().flat_map(|writer| writer.files()).map(|file| self.out.join(file)).collect()
    }

    /// Refuses, before anything is written, files that exist unless `overwrite`, files that are one of `sources`, two
    /// results in one file, also names that differ in case only, which are one file on some systems, names that lead out
    /// of the folder, and a folder that is a file. `images` are ids with their files, `more` are further results of image
    /// 0, 1, …, and `others` further results about all.
    ///
    /// # Errors
    /// As described.
    pub fn check<'a>(
        &self,
        images: impl IntoIterator<Item = (&'a str, &'a Path)>,
        more: impl Fn(usize) -> Vec<PathBuf>,
        others: &[PathBuf],
        overwrite: bool,
    ) -> Result<()> {
        if self.out.is_file() {
            return Err(Error::data(&self.out, "is a file", "give the name of a folder"));
        }
        let images: Vec<_> = images.into_iter().collect();
        let sources: std::collections::HashSet<_> =
            images.iter().filter_map(|(_, path)| path.canonicalize().ok()).collect();
        let (mut owners, all) = (HashMap::new(), Path::new("all images"));
        let mut claim = |target: PathBuf, owner: &Path| {
            if target.canonicalize().is_ok_and(|target| sources.contains(&target)) {
                return Err(Error::data(target, "is one of the images", "choose another --out"));
            }
            if target.exists() && !overwrite {
                return Err(Error::data(target, "already exists", "choose another --out or pass --overwrite"));
            }
            match owners.insert(target.as_os_str().to_ascii_lowercase(), owner.to_owned()) {
                Some(_) if owner == all => {
                    Err(Error::data(target, "would be written twice", "choose one --format that writes it"))
                }
                Some(other) => {
                    let reason = format!("would be the result of both {} and {}", other.display(), owner.display());
                    Err(Error::data(target, reason, "give them different names or folders"))
                }
                None => Ok(()),
            }
        };
        for file in self.files().into_iter().chain(others.iter().cloned()) {
            claim(file, all)?;
        }
        for (index, (id, path)) in images.into_iter().enumerate() {
            if !stays_inside(id) {
                let reason = format!("the result of the image `{id}` would be outside of {}", self.out.display());
                return Err(Error::data(path, reason, "list the image by a name without `..`"));
            }
            self.files_of(id).into_iter().chain(more(index)).try_for_each(|file| claim(file, path))?;
        }
        Ok(())
    }

    /// Takes an image.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn add(&mut self, labelled: &Labelled<'_>) -> Result<()> {
        self.writers.iter_mut().try_for_each(|writer| writer.add(&self.out, labelled))
    }

    /// Writes the files about all images.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.writers.iter_mut().try_for_each(|writer| writer.finish(&self.out))
    }
}

/// Whether the path of an id stays in the folder that it is joined to.
fn stays_inside(id: &str) -> bool {
    Path::new(id).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: a list cannot make the program write outside of its folder.
    #[test]
    fn ids_stay_inside() {
        assert!(stays_inside("a") && stays_inside("cat/a.b") && stays_inside("..a"));
        assert!(!stays_inside("../a") && !stays_inside("/a") && !stays_inside("a/../../b"));
    }
}
