//! Errors about the bytes of a file, without the file's name.

use std::path::Path;

use crate::error::Error;

/// A cause and a remedy; [`Fault::at`] adds the file and makes it an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was found.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Shorthand for results without a file name.
pub type Checked<T> = Result<T, Fault>;

impl Fault {
    /// The bytes are inconsistent: the file is truncated or corrupted.
    pub fn damaged(reason: impl Into<String>) -> Self {
        Fault { reason: reason.into(), remedy: "the file is damaged: download or copy it again" }
    }

    /// A valid file that contains more than tensors.
    pub fn foreign(reason: impl Into<String>) -> Self {
        let remedy = "if you trust the file, save only its tensors in Python: torch.save(model.state_dict(), FILE)";
        Fault { reason: reason.into(), remedy }
    }

    /// The error that names the file.
    pub fn at(self, path: &Path) -> Error {
        Error::data(path, self.reason, self.remedy)
    }
}

/// A text from a file for use in a message: on one line, and truncated.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}
