//! The checkpoints of a run: `RUN/checkpoints/`, with the pointers `latest` and `best`.
//!
//! A pointer is a text file with the name of a checkpoint in the same folder, so it can be replaced atomically
//! and works on every file system. `tagseg eval RUN/checkpoints/best` follows it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::formats::durable::{PARTIAL, write_atomically};
use crate::formats::tensor_file::INDEX;

/// Points to the newest checkpoint.
pub const LATEST: &str = "latest";
/// Points to the checkpoint with the best segmentation (mean IoU) of all evaluations.
pub const BEST: &str = "best";

/// Extension of a checkpoint's name.
const ENDING: &str = "safetensors";

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    run: PathBuf,
    folder: PathBuf,
}

/// A checkpoint that can be read, and the newer ones that cannot.
#[derive(Debug)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// Its contents.
    pub checkpoint: Checkpoint,
    /// Newer files, newest first, and what is wrong with each.
    pub damaged: Vec<(PathBuf, Error)>,
}

impl Checkpoints {
    /// The checkpoints of a run's folder.
    pub fn of(run: &Path) -> Self {
        Checkpoints { run: run.to_owned(), folder: run.join("checkpoints") }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a step.
    pub fn path(&self, step: usize) -> PathBuf {
        self.folder.join(format!("step_{step:07}.{ENDING}"))
    }

    /// Saves a checkpoint and points `latest` to it; returns its path.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; earlier files are unchanged.
    pub fn put(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path(checkpoint.step);
        checkpoint.save(&path)?;
        self.point(LATEST, checkpoint.step)?;
        Ok(path)
    }

    /// Sets a pointer to the checkpoint of a step.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; the pointer is then unchanged.
    pub fn point(&self, pointer: &str, step: usize) -> Result<()> {
        let mut name = self.path(step).file_name().unwrap_or_default().to_owned();
        name.push("\n");
        write_atomically(&self.folder.join(pointer), name.as_encoded_bytes())
    }

    /// Deletes all but the newest `keep` checkpoints and those that a pointer points to; 0 keeps all.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be deleted.
    pub fn prune(&self, keep: usize) -> Result<()> {
        let files = self.list();
        let surplus = if keep == 0 { 0 } else { files.len().saturating_sub(keep) };
        let kept = [LATEST, BEST].map(|pointer| follow(&self.folder.join(pointer)));
        let unneeded = files[..surplus].iter().filter(|file| !kept.contains(&Some((*file).clone())));
        unneeded.into_iter().try_for_each(|file| fs::remove_file(file).map_err(Error::io(file)))
    }

    /// The newest intact checkpoint.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or the error of the newest if none can be read.
    pub fn newest(&self) -> Result<Found> {
        let missing = |reason: &str| {
            Error::data(&self.run, reason, "give the folder of a run (`tagseg train --out RUN`) or a .safetensors file")
        };
        if !self.run.exists() {
            return Err(missing("does not exist"));
        }
        let mut damaged = Vec::new();
        for path in self.list().into_iter().rev() {
            match Checkpoint::load(&path) {
                Ok(checkpoint) => return Ok(Found { path, checkpoint, damaged }),
                Err(error) => damaged.push((path, error)),
            }
        }
        Err(damaged.into_iter().next().map_or_else(|| missing("contains no checkpoint"), |(_, error)| error))
    }

    /// Restores the folder to the state when `latest` was saved and `best` was the best: removes partial files of a
    /// killed process, and sets the pointers.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be removed or written.
    pub fn restore(&self, latest: usize, best: Option<usize>) -> Result<()> {
        let partial = self.files_ending(PARTIAL);
        partial.iter().try_for_each(|file| fs::remove_file(file).map_err(Error::io(file)))?;
        self.point(LATEST, latest)?;
        let pointer = self.folder.join(BEST);
        match best {
            Some(best) => self.point(BEST, best),
            None if pointer.is_file() => fs::remove_file(&pointer).map_err(Error::io(&pointer)),
            None => Ok(()),
        }
    }

    /// Renames a damaged checkpoint, so that it is ignored from now on.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn set_aside(&self, damaged: &Path) -> Result<()> {
        fs::rename(damaged, damaged.with_extension("damaged")).map_err(Error::io(damaged))
    }

    /// Whether there is no checkpoint, readable or not.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Checkpoints, oldest first: their names sort by step.
    fn list(&self) -> Vec<PathBuf> {
        self.files_ending(ENDING)
    }

    fn files_ending(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = entries.filter(|path| path.extension() == Some(OsStr::new(ending))).collect();
        files.sort();
        files
    }
}

impl Found {
    /// One line for each damaged file: what is wrong with it, and which file is used instead.
    pub fn notices(&self) -> impl Iterator<Item = String> {
        let name = self.path.file_name().unwrap_or_default().display();
        self.damaged.iter().map(move |(_, error)| format!("{}; using {name} instead", error.what()))
    }
}

impl Checkpoint {
    /// Opens the path of a user: the folder of a run, of which the newest intact checkpoint is used; a
    /// checkpoint; or a pointer to one.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or it cannot be read.
    pub fn open(network: &Path) -> Result<Found> {
        if !network.is_file() {
            return Checkpoints::of(network).newest();
        }
        let path = follow(network).unwrap_or_else(|| network.to_owned());
        Ok(Found { checkpoint: Checkpoint::load(&path)?, path, damaged: Vec::new() })
    }
}

/// The file that [`Checkpoint::open`] would open, or the weights in a folder that Transformers saved. Warns on standard
/// error if a newer one is damaged.
///
/// # Errors
/// [`Error::Data`] if there is none.
pub(super) fn file_of(network: &Path) -> Result<PathBuf> {
    if network.is_file() {
        return Ok(follow(network).unwrap_or_else(|| network.to_owned()));
    }
    if !network.exists() {
        let remedy = "give a .safetensors, .pth or .pt file, or the folder of a run (`tagseg train --out RUN`)";
        return Err(Error::data(network, "does not exist", remedy));
    }
    // A folder that Transformers saved, whose weights are in one file or in several, in its order.
    let saved = ["model.safetensors", "pytorch_model.bin"].map(|file| [file.to_owned(), format!("{file}{INDEX}")]);
    if let Some(file) = saved.as_flattened().iter().map(|name| network.join(name)).find(|file| file.is_file()) {
        return Ok(file);
    }
    let found = Checkpoints::of(network).newest()?;
    found.notices().for_each(|notice| eprintln!("{notice}"));
    Ok(found.path)
}

/// The file that a pointer points to; `None` if it is not a pointer, or points to nothing.
fn follow(pointer: &Path) -> Option<PathBuf> {
    if ![LATEST, BEST].iter().any(|name| pointer.file_name() == Some(OsStr::new(name))) {
        return None;
    }
    let target = pointer.with_file_name(fs::read_to_string(pointer).ok()?.trim_end());
    target.is_file().then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn checkpoint(step: usize) -> Checkpoint {
        let config = Config::preset("nano").unwrap();
        let tensors = [("w".to_owned(), (vec![2], vec![1.0, step as f32]))].into();
        Checkpoint { step, config, classes: vec!["cat".into()], tensors, training: None }
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<usize> {
        checkpoints.list().iter().map(|path| Checkpoint::load(path).unwrap().step).collect()
    }

    /// Protects: files that pointers refer to are never deleted, however few are kept.
    #[test]
    fn pruning_keeps_latest_and_best() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(run.path());
        fs::create_dir(checkpoints.folder()).unwrap();
        for step in [10, 20, 30, 40] {
            checkpoints.put(&checkpoint(step)).unwrap();
        }
        checkpoints.point(BEST, 10).unwrap();
        checkpoints.prune(0).unwrap();
        assert_eq!(steps(&checkpoints), [10, 20, 30, 40]);
        checkpoints.prune(2).unwrap();
        assert_eq!(steps(&checkpoints), [10, 30, 40]);
        assert_eq!(Checkpoint::open(&checkpoints.folder().join(BEST)).unwrap().checkpoint.step, 10);
        assert_eq!(Checkpoint::open(&checkpoints.folder().join(LATEST)).unwrap().checkpoint.step, 40);
        // A run that was resumed from an older checkpoint: its newest is not the one of the highest step.
        checkpoints.put(&checkpoint(5)).unwrap();
        checkpoints.prune(1).unwrap();
        assert_eq!(steps(&checkpoints), [5, 10, 40]);
    }

    /// Protects: any flipped bit and any truncation is detected, and the previous checkpoint is used.
    #[test]
    fn a_damaged_file_is_passed_over() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(run.path());
        fs::create_dir(checkpoints.folder()).unwrap();
        checkpoints.put(&checkpoint(10)).unwrap();
        let path = checkpoints.put(&checkpoint(20)).unwrap();
        let whole = fs::read(&path).unwrap();
        assert_eq!(checkpoints.newest().unwrap().checkpoint, checkpoint(20));
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            fs::write(&path, &bytes).unwrap();
            // A space in the header may become other white space without changing its meaning.
            let found = checkpoints.newest().unwrap();
            assert!(found.checkpoint.step == 10 || found.checkpoint == checkpoint(20), "byte {place}");
            if found.checkpoint.step == 10 {
                assert_eq!(found.damaged.len(), 1);
                let notice = found.notices().next().unwrap();
                assert!(notice.contains("step_0000020") && notice.contains("step_0000010"), "{notice}");
            }
        }
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(checkpoints.newest().unwrap().checkpoint.step, 10, "{length} bytes");
        }
    }

    /// Protects: the same state gives the same file.
    #[test]
    fn a_checkpoint_is_written_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = ["a", "b"].map(|name| {
            let path = folder.path().join(name);
            checkpoint(3).save(&path).unwrap();
            fs::read(path).unwrap()
        });
        assert!(bytes[0] == bytes[1]);
    }
}
