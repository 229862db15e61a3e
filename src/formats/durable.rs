//! Atomic writes: a file is either complete or absent, whatever happens during writing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Extension of a file that is being written. A leftover one is from a process that was killed.
pub(crate) const PARTIAL: &str = "partial";

/// Writes a file under a temporary name beside it, syncs it, renames it into place and syncs the folder: after a crash
/// or a power cut, the file has the old content or the new, never a part.
///
/// # Errors
/// [`Error::Io`] if a step fails; the old file, if any, is then unchanged, and the partial new one is removed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        replace(path, bytes, File::sync_all)?;
        sync_folder(path)
    };
    write().map_err(Error::io(path))
}

/// Writes a file under a temporary name beside it and renames it into place: the file has the old content or the new,
/// never a part, whatever happens to the process or on a full disk. Unlike [`write_atomically`], it does not sync to
/// disk, which is enough for files that can be generated again.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    // Pipes and devices are written to, not replaced.
    let written = match path.metadata() {
        Ok(found) if !found.is_file() && !found.is_dir() => std::fs::write(path, bytes),
        _ => replace(path, bytes, |_| Ok(())),
    };
    written.map_err(Error::io(path))
}

/// Writes a folder of files under a temporary name beside it, syncs them, and renames it into place: the folder has all
/// of the files or is absent. An existing folder is replaced, so check before that this is wanted.
///
/// # Errors
/// [`Error::Io`] if a step fails; the old folder, if any, is then unchanged, and the partial new one is removed.
#[cfg(feature = "native")]
pub fn write_folder(path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    // A link keeps pointing to the folder that it names.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let temporary = || {
        let mut builder = tempfile::Builder::new();
        let prefix = [path.file_name().unwrap_or_default(), OsStr::new(".")].into_iter().collect::<OsString>();
        builder.prefix(&prefix).suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(folder_of(path)).map_err(Error::io(path))
    };
    let new = temporary()?;
    files.iter().try_for_each(|(name, bytes)| write_atomically(&new.path().join(name), bytes))?;
    // Removed with what is moved there.
    let old = temporary()?;
    let aside = old.path().join("replaced");
    let replace = || {
        if path.is_dir() {
            std::fs::rename(path, &aside)?;
        }
        if let Err(error) = std::fs::rename(new.path(), path) {
            // Without the old folder there is none to put back.
            let _ = std::fs::rename(&aside, path);
            return Err(error);
        }
        sync_folder(path)
    };
    replace().map_err(Error::io(path))
}

/// Writes a file beside `path`, passes it to `finish`, and renames it into place.
fn replace(path: &Path, bytes: &[u8], finish: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    // If it is dropped without being renamed, the file is removed, which frees space on a full disk.
    let mut file = beside(path)?;
    file.write_all(bytes)?;
    finish(file.as_file())?;
    file.persist(path)?;
    Ok(())
}

/// A new file in the folder of `path`, named after it, with the default permissions of the process:
/// by default, only its owner may read a temporary file.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let name = path.file_name().unwrap_or_default();
    let (prefix, suffix) = ([name, OsStr::new(".")].into_iter().collect::<OsString>(), format!(".{PARTIAL}"));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(&suffix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

/// Checks that the folder exists in which a file or folder is to be written.
///
/// # Errors
/// [`Error::Data`] if it does not.
pub fn check_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(Error::data(folder, "is not a folder", format!("create it to write {} there", path.display())))
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Syncs the folder of a file, so that its name is durable. Windows cannot open a folder as a file, and does not need
/// this.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}
