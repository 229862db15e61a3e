//! Who hears how far work on many files is.

/// Hears how far long work on many files is; from several threads.
pub trait Follow: Sync {
    /// Work on so many files begins.
    fn begin(&self, what: &str, files: usize);

    /// A file is done.
    fn file(&self);
}

/// Nobody listens.
impl Follow for () {
    fn begin(&self, _: &str, _: usize) {}

    fn file(&self) {}
}
