//! The error type of the library.
//!
//! Every variant prints as one line: location, cause and remedy. The program exits with code 2 on any of them.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error with its cause and remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was recorded with unsupported operands.
    #[error("{op}: {reason}; operands {shapes} (recorded at {at})")]
    Op {
        /// Name of the operation, as in `src/engine/ops/<op>.rs`.
        op: &'static str,
        /// The operands' types, for example `f32[2, 3] f32[4]`.
        shapes: String,
        /// The cause.
        reason: String,
        /// The caller's line.
        at: &'static std::panic::Location<'static>,
    },

    /// A graph, program or parameter store was misused.
    #[error("{0}")]
    Graph(String),

    /// No adapter, a lost device, or a shader that the driver rejects.
    #[error("{reason}; {remedy}")]
    Device {
        /// The cause.
        reason: String,
        /// The remedy.
        remedy: String,
    },

    /// A launcher started several processes for what only one can do. All return this; only the first prints it.
    #[error("{reason}; {remedy}")]
    Launcher {
        /// Which of them this process is.
        rank: usize,
        /// The cause.
        reason: String,
        /// The remedy.
        remedy: String,
    },

    /// A plan that needs more memory than the device has or the configuration allows.
    #[error("{reason}; {remedy}")]
    Memory {
        /// The memory that the plan needs, and the limit.
        reason: String,
        /// The remedy.
        remedy: String,
    },

    /// A file or folder that cannot be used.
    #[error("{}: {reason}; {remedy}", shown(path))]
    Data {
        /// The offending file or folder.
        path: PathBuf,
        /// The cause.
        reason: String,
        /// The remedy.
        remedy: String,
    },

    /// An option that is unknown or out of range.
    #[error("option `{key}`: {reason}; {remedy}")]
    Config {
        /// The option's dotted name.
        key: String,
        /// The cause.
        reason: String,
        /// The remedy.
        remedy: String,
    },

    /// A run stopped before its last step and can be resumed.
    #[error(
        "{cause}; step {step} is safe in {}, resume with `{}`",
        checkpoint.display(),
        resume_command(run)
    )]
    Stopped {
        /// The cause.
        cause: Box<Error>,
        /// Number of steps in the newest checkpoint.
        step: usize,
        /// The newest checkpoint.
        checkpoint: PathBuf,
        /// The run folder.
        run: PathBuf,
    },

    /// The operating system refused a file operation.
    #[error("{}: {source}; {}", shown(path), remedy(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Error {
    /// The location and the cause, without the remedy.
    pub fn what(&self) -> String {
        match self {
            Error::Data { path, reason, .. } => format!("{}: {reason}", shown(path)),
            Error::Io { path, source } => format!("{}: {source}", shown(path)),
            other => other.to_string(),
        }
    }

    /// An [`Error::Data`] from its three parts.
    pub fn data(path: impl AsRef<Path>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Data { path: path.as_ref().to_owned(), reason: reason.into(), remedy: remedy.into() }
    }

    /// An [`Error::Config`] from its three parts.
    pub fn config(key: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Config { key: key.into(), reason: reason.into(), remedy: remedy.into() }
    }

    /// An [`Error::Device`] from its two parts. Joins the lines of a message from a driver or shader compiler, without
    /// the lines that show source code.
    pub fn device(reason: impl AsRef<str>, remedy: impl Into<String>) -> Self {
        let lines = reason.as_ref().lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('│'));
        let reason = lines.collect::<Vec<_>>().join(" ").replace("┌─", "at");
        Error::Device { reason, remedy: remedy.into() }
    }

    /// An [`Error::Graph`] with the caller's line; functions in between must be `track_caller`.
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

/// A path on one line: a name may have any character, but an error is one line.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.contains(char::is_control) {
        true => {
            text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
        }
        false => text,
    }
}

/// The command that resumes a run, quoted for the shell.
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

/// The remedy for an error of the operating system.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, StorageFull};
    match error.kind() {
        NotFound => "check the path",
        PermissionDenied => "check the permissions",
        StorageFull => "free some space",
        AlreadyExists | NotADirectory => "choose another path, a file exists there",
        IsADirectory => "give the path of a file, not of a folder",
        _ => "check the path and the disk",
    }
}
