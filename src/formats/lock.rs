//! Locks on files, which the operating system releases when the process ends.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};

/// Locks a file as long as it is open; `false` if another process has locked it. Some network file systems have no locks:
/// there every process succeeds.
///
/// # Errors
/// [`Error::Io`] if locking fails in another way.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
    }
}
