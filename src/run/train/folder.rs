//! The folder of a run: what lies in it, and that one process at a time works there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run::weights::Shelf;

/// A run's folder, locked for as long as this lives. The operating system unlocks it with the process, however it ends.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// A folder for a new run; with `overwrite` an old run in it is deleted.
    ///
    /// # Errors
    /// If another process works there, or a folder cannot be made.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path))?;
        let folder = RunFolder { path: path.to_owned(), _lock: lock(path)? };
        if overwrite {
            folder.clear()?;
        }
        for name in [folder.shelf().folder().to_owned(), folder.pictures()] {
            fs::create_dir_all(&name).map_err(Error::io(&name))?;
        }
        Ok(folder)
    }

    /// The folder of a run that began before.
    ///
    /// # Errors
    /// If it holds none, or another process works there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if !Shelf::of(path).folder().is_dir() {
            let reason = if path.is_dir() { "holds no run" } else { "is no folder" };
            return Err(Error::data(path, reason, "give a folder that `tagseg train --out RUN` made"));
        }
        let folder = RunFolder { path: path.to_owned(), _lock: lock(path)? };
        fs::create_dir_all(folder.pictures()).map_err(Error::io(path))?;
        Ok(folder)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoints.
    pub(super) fn shelf(&self) -> Shelf {
        Shelf::of(&self.path)
    }

    /// The configuration, for people and for a run like this one.
    pub(super) fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The record.
    pub(super) fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The folder of pictures.
    pub(super) fn pictures(&self) -> PathBuf {
        self.path.join("pictures")
    }

    /// The folder for a step that is not finite.
    pub(super) fn failure(&self) -> PathBuf {
        self.path.join("failure")
    }

    /// Removes what a run writes, and never a folder that happens to bear the name.
    fn clear(&self) -> Result<()> {
        for file in [self.config(), self.metrics()].iter().filter(|file| file.is_file()) {
            fs::remove_file(file).map_err(Error::io(file))?;
        }
        for folder in [self.shelf().folder(), &self.pictures(), &self.failure()].iter().filter(|folder| folder.is_dir())
        {
            fs::remove_dir_all(folder).map_err(Error::io(folder))?;
        }
        Ok(())
    }
}

/// Locks a folder by a file in it, which also tells who did. The file stays: to delete it would let a third process lock
/// another one of the same name.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        // A file system without locks, as some networks have: better a run than none.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
        Err(TryLockError::WouldBlock) => {
            let owner = fs::read_to_string(&path).unwrap_or_default();
            let reason = format!("another process is training here ({})", owner.trim());
            return Err(Error::data(folder, reason, "wait until it is done, or choose another folder"));
        }
    }
    let owner = format!("process {}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(owner.as_bytes())).map_err(Error::io(&path))?;
    Ok(file)
}
