//! The folder of a run: its files, and a lock that admits one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::formats::lock::try_lock;
use crate::run::record::EventWriter;
use crate::run::weights::Checkpoints;

/// A run's folder, locked as long as this value lives. The operating system releases the lock when the process ends.
#[derive(Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
    /// None for a process that only reads.
    _lock: Option<File>,
}

impl RunFolder {
    /// A folder for a new run; with `overwrite` an old run in it is deleted.
    ///
    /// # Errors
    /// If another process is using it, or a folder cannot be created.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path))?;
        let folder = RunFolder { path: path.to_owned(), _lock: Some(lock(path)?) };
        if overwrite {
            folder.clear()?;
        }
        for name in [folder.checkpoints().folder().to_owned(), folder.pictures()] {
            fs::create_dir_all(&name).map_err(Error::io(&name))?;
        }
        Ok(folder)
    }

    /// The folder of an existing run.
    ///
    /// # Errors
    /// If it contains no run, or another process is using it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut folder = Self::read(path)?;
        folder._lock = Some(lock(path)?);
        fs::create_dir_all(folder.pictures()).map_err(Error::io(path))?;
        Ok(folder)
    }

    /// The same to read only, while another rank of this run has it open.
    ///
    /// # Errors
    /// If it contains no run.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !Checkpoints::of(path).folder().is_dir() {
            let reason = if path.is_dir() { "contains no run" } else { "is not a folder" };
            return Err(Error::data(path, reason, "give a folder that `tagseg train --out RUN` created"));
        }
        Ok(RunFolder { path: path.to_owned(), _lock: None })
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoints.
    pub(super) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::of(&self.path)
    }

    /// The resolved configuration, to read and to repeat the run.
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

    /// The folder for a step whose values are not finite.
    pub(super) fn failure(&self) -> PathBuf {
        self.path.join("failure")
    }

    /// Removes the files that a run writes, and nothing else.
    fn clear(&self) -> Result<()> {
        let own = [self.config(), self.metrics()].into_iter().chain(EventWriter::files(&self.path)?);
        for file in own.filter(|file| file.is_file()) {
            fs::remove_file(&file).map_err(Error::io(&file))?;
        }
        for folder in
            [self.checkpoints().folder(), &self.pictures(), &self.failure()].iter().filter(|folder| folder.is_dir())
        {
            fs::remove_dir_all(folder).map_err(Error::io(folder))?;
        }
        Ok(())
    }
}

/// Locks a folder by a file in it, which also names the owner. The file is not deleted, since a third process could
/// then lock a new file of the same name.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    if !try_lock(&file, &path)? {
        let owner = fs::read_to_string(&path).unwrap_or_default();
        let reason = format!("another process is training here ({})", owner.trim());
        return Err(Error::data(folder, reason, "wait until it is done, or choose another folder"));
    }
    let owner = format!("process {}\n", std::process::id());
    file.set_len(0).and_then(|()| file.write_all(owner.as_bytes())).map_err(Error::io(&path))?;
    Ok(file)
}
