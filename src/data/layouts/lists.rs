//! Where the file of a split is, in forms in which a file lists images with tags.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::layout::Sign;
use crate::error::{Error, Result};

/// A kind of files.
pub(super) struct Kind {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// Endings of the files, in lower case.
    pub(super) endings: &'static [&'static str],
    /// Names of files that are clearly such a list, without ending.
    pub(super) names: &'static [&'static str],
    /// Whether the beginning of a file looks like one. Zero bytes, which UTF-16 has, are left out.
    pub(super) looks_right: fn(&str) -> bool,
    /// Whether that is clear whatever the file is called.
    pub(super) clear: bool,
}

/// The usual splits, and the names that programs give them.
const SPLITS: [(&str, &[&str]); 3] =
    [("train", &["train"]), ("val", &["val", "valid", "validation"]), ("test", &["test"])];

/// The names that programs give a split.
pub(super) fn aliases(split: &str) -> Vec<&str> {
    SPLITS.iter().find(|(usual, _)| *usual == split).map_or(vec![split], |(_, names)| names.to_vec())
}

/// The usual split of a name in lower case.
pub(super) fn split_named(name: &str) -> Option<&'static str> {
    SPLITS.iter().find(|(_, names)| names.contains(&name)).map(|(split, _)| *split)
}

/// Whether a text names a split.
pub(super) fn names_split(text: &str, split: &str) -> bool {
    aliases(split).iter().any(|alias| text.eq_ignore_ascii_case(alias))
}

impl Kind {
    /// What shows that a folder has files of this kind.
    pub(super) fn sign(&self, root: &Path) -> Option<Sign> {
        let (level, found) = self.files(root, "train").into_iter().enumerate().find(|(_, files)| !files.is_empty())?;
        let what = found[0].strip_prefix(root).unwrap_or(&found[0]).display().to_string();
        Some(Sign { what, clear: self.clear || level < 3 })
    }

    /// Whether there is a file of the split.
    pub(super) fn has_split(&self, root: &Path, split: &str) -> bool {
        self.files(root, split).iter().any(|files| !files.is_empty())
    }

    /// The file of a split.
    ///
    /// # Errors
    ///
    /// If there is none, or there are several.
    pub(super) fn find(&self, root: &Path, split: &str) -> Result<PathBuf> {
        let found = self.files(root, split).into_iter().find(|files| !files.is_empty()).unwrap_or_default();
        match &found[..] {
            [file] => Ok(file.clone()),
            [] => {
                let (names, ending) = (self.names.join(", "), self.endings[0]);
                let remedy = format!("add {split}.{ending}, or {split}/ with one of: {names} (.{ending})");
                Err(Error::data(root, format!("there is no split `{split}` as {}", self.name), remedy))
            }
            [one, other, ..] => {
                let reason = format!("has two files of {}: {} and {}", self.name, shown(one, root), shown(other, root));
                Err(Error::data(
                    root,
                    reason,
                    format!("move one elsewhere, or name the one to use {split}.{}", ending_of(one)),
                ))
            }
        }
    }

    /// The files that a split may have; those of a level come before those of the next: in its folder, by its name, and,
    /// for `train`, a usual name and any other.
    fn files(&self, root: &Path, split: &str) -> [Vec<PathBuf>; 4] {
        let own = aliases(split);
        let in_folder = own.iter().flat_map(|alias| self.in_folder(&root.join(alias)));
        let in_folder = in_folder.filter(|path| self.names.contains(&&*stem(path))).collect();
        let (mut by_split, mut usual, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for path in self.in_folder(root) {
            let name = stem(&path);
            if own.contains(&&*name) {
                by_split.push(path);
            } else if split == "train" && self.names.contains(&&*name) {
                usual.push(path);
            } else if split == "train" && split_named(&name).is_none() {
                others.push(path);
            }
        }
        [in_folder, by_split, usual, others]
    }

    /// The files of this kind in a folder, sorted.
    fn in_folder(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<_> = entries
            .filter(|path| self.endings.contains(&&*ending_of(path)) && !stem(path).starts_with('.') && path.is_file())
            .filter(|path| (self.looks_right)(&beginning(path)))
            .collect();
        found.sort();
        found
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn ending_of(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The first 64 KiB of a file as text, without zero bytes.
pub(super) fn beginning(path: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(path).map(|file| file.take(1 << 16).read_to_end(&mut bytes));
    bytes.retain(|byte| *byte != 0);
    String::from_utf8_lossy(&bytes).trim_start_matches(|c: char| !c.is_ascii() || c.is_whitespace()).to_owned()
}
