//! The one error type of the library.
//!
//! Every variant prints as one line: where, what, and what to do about it. The program maps each of them to exit
//! code 2.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, with what a person needs to put it right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was recorded with operands it cannot take.
    #[error("{op}: {reason}; operands {shapes} (recorded at {at})")]
    Op {
        /// Name of the operation, as in `src/ops/<op>.rs`.
        op: &'static str,
        /// The operands' types, for example `f32[2, 3] f32[4]`.
        shapes: String,
        /// What does not fit.
        reason: String,
        /// The caller's line.
        at: &'static std::panic::Location<'static>,
    },

    /// A graph, program or parameter store was used against its rules.
    #[error("{0}")]
    Graph(String),

    /// No adapter, a lost device, or a shader that the driver refuses.
    #[error("{reason}; {remedy}")]
    Device {
        /// The cause.
        reason: String,
        /// What to do.
        remedy: String,
    },

    /// A plan that takes more memory than the device has, or than is allowed.
    #[error("{reason}; {remedy}")]
    Memory {
        /// What the plan needs, and what there is.
        reason: String,
        /// What to do.
        remedy: String,
    },

    /// A file or folder that cannot be used.
    #[error("{}: {reason}; {remedy}", path.display())]
    Data {
        /// The offending file or folder.
        path: PathBuf,
        /// The cause.
        reason: String,
        /// What to do.
        remedy: String,
    },

    /// An option that is unknown or out of range.
    #[error("option `{key}`: {reason}; {remedy}")]
    Config {
        /// The option's dotted name.
        key: String,
        /// The cause.
        reason: String,
        /// What to do.
        remedy: String,
    },

    /// A run ended before its last step, and can go on.
    #[error(
        "{cause}; step {step} is safe in {}, go on with `{}`",
        checkpoint.display(),
        resume_command(run)
    )]
    Stopped {
        /// What ended it.
        cause: Box<Error>,
        /// Steps behind the newest checkpoint.
        step: usize,
        /// The newest checkpoint.
        checkpoint: PathBuf,
        /// Folder of the run.
        run: PathBuf,
    },

    /// The operating system refused a file operation.
    #[error("{}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// Where and what, without the remedy.
    pub fn what(&self) -> String {
        match self {
            Error::Data { path, reason, .. } => format!("{}: {reason}", path.display()),
            Error::Io { path, source } => format!("{}: {source}", path.display()),
            other => other.to_string(),
        }
    }

    /// A [`Error::Data`] from its three parts.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Data { path: path.as_ref().to_owned(), reason: reason.into(), remedy: remedy.into() }
    }

    /// A [`Error::Config`] from its three parts.
    pub fn config(key: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Config { key: key.into(), reason: reason.into(), remedy: remedy.into() }
    }

    /// A [`Error::Device`] from its two parts. The words of a driver or a shader compiler may be among the cause: their
    /// lines are joined, less those that draw the source.
    pub fn device(reason: impl AsRef<str>, remedy: impl Into<String>) -> Self {
        let lines = reason.as_ref().lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('│'));
        let reason = lines.collect::<Vec<_>>().join(" ").replace("┌─", "at");
        Error::Device { reason, remedy: remedy.into() }
    }

    /// An [`Error::Graph`] with the line of the mistake: the caller's, through functions that are `track_caller`.
    #[track_caller]
    pub(crate) fn misuse(reason: impl std::fmt::Display) -> Self {
        Error::Graph(format!("{reason} (at {})", std::panic::Location::caller()))
    }

    /// For `map_err` on file operations: attaches the path to the system's error.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { path, source }
    }
}

/// The command that goes on with the run of a folder, as a shell reads it.
pub fn resume_command(run: &Path) -> String {
    let path = run.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:=@,".contains(c) || (cfg!(windows) && c == '\\');
    let quoted = match path.chars().all(plain) {
        true => path,
        false if cfg!(windows) => format!("\"{path}\""),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    };
    format!("tagseg train --resume {quoted}")
}

/// What to do where the operating system refuses.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, StorageFull};
    match error.kind() {
        NotFound => "check the path",
        PermissionDenied => "check who may read and write there",
        StorageFull => "free some space",
        AlreadyExists | NotADirectory => "choose another path, a file is in the way",
        IsADirectory => "give the name of a file, this is a folder",
        _ => "check the path and the disk",
    }
}
