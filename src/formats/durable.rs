//! Files that are either whole or not there, whatever happens while they are written.

use std::fs::{File, remove_file, rename};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Ending of a file that is being written. One that is left over belongs to a process that was killed.
pub(crate) const PARTIAL: &str = "partial";

/// Writes a file under a temporary name, syncs it, renames it into place and syncs the folder: after a crash or a power
/// cut the name bears the old content or the new, never a part.
///
/// # Errors
/// [`Error::Io`] if a step fails; the old file, if any, is then untouched, and what was written of the new one is gone.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension(PARTIAL);
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(&beside, path)?;
        sync_folder(path)
    };
    write().map_err(|error| {
        // Makes room again where the disk is full; the first error is the one to tell.
        let _ = remove_file(&beside);
        Error::io(path)(error)
    })
}

/// Makes the names in a file's folder last. Windows cannot open a folder as a file, and needs no such call.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        _ if cfg!(not(unix)) => Ok(()),
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
