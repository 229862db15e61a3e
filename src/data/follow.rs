//! Progress of work on many files.

/// Receives the progress of long work on many files, from several threads.
pub trait Follow: Sync {
    /// Called before work on so many files.
    fn begin(&self, what: &str, files: usize);

    /// Called after each file.
    fn file(&self);
}

/// Ignores progress.
impl Follow for () {
    fn begin(&self, _: &str, _: usize) {}

    fn file(&self) {}
}
