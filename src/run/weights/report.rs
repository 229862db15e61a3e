//! The outcome for every key when weights are loaded from a file.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::formats::tensor_file::Dropped;

/// A tensor whose shape differs from the network's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Misshaped {
    /// Its native name.
    pub name: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub expected: Vec<usize>,
}

/// The outcome for all keys, by native name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct KeyReport {
    /// Tensors of the file that were loaded.
    pub loaded: Vec<String>,
    /// Tensors of the network that are missing in the file.
    pub missing: Vec<String>,
    /// Tensors of the file that the network does not have.
    pub unexpected: Vec<String>,
    /// Tensors whose shapes differ.
    pub misshaped: Vec<Misshaped>,
    /// What is always dropped: the ImageNet classifier, batch counters.
    pub dropped: Vec<Dropped>,
    /// Tensors that a file with only an encoder does not have; they keep their initial values.
    pub initial: Vec<String>,
}

impl KeyReport {
    /// Whether nothing is missing, unexpected or of a different shape.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshaped.is_empty()
    }

    /// Refuses weights that do not match; with `partial`, only if no tensor matches.
    ///
    /// # Errors
    /// [`Error::Data`] with the counts, some of the names, and `remedy`.
    pub fn check(&self, path: &Path, partial: bool, remedy: &str) -> Result<()> {
        if self.loaded.is_empty() {
            return Err(Error::data(path, "no tensor matches the network", remedy));
        }
        if partial || self.is_complete() {
            return Ok(());
        }
        Err(Error::data(
            path,
            self.misfits().join("; "),
            format!("{remedy}, or load the matching tensors with --partial"),
        ))
    }

    /// One phrase per kind of mismatch.
    fn misfits(&self) -> Vec<String> {
        let shapes: Vec<_> = self
            .misshaped
            .iter()
            .map(|misfit| format!("{} {:?} instead of {:?}", misfit.name, misfit.found, misfit.expected))
            .collect();
        [("missing", &self.missing), ("unexpected", &self.unexpected), ("of a different shape", &shapes)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{} {kind}: {}", names.len(), some(names)))
            .collect()
    }
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}

/// Everything on one line, as in `54 tensors loaded; 2 dropped: head.weight, head.bias; 13 keep their initial values:
/// …`.
impl fmt::Display for KeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut phrases = vec![format!("{} tensors loaded", self.loaded.len())];
        phrases.extend(self.misfits());
        let dropped: Vec<_> = self.dropped.iter().map(|dropped| dropped.name.clone()).collect();
        if !dropped.is_empty() {
            phrases.push(format!("{} dropped: {}", dropped.len(), some(&dropped)));
        }
        if !self.initial.is_empty() {
            phrases.push(format!("{} keep their initial values: {}", self.initial.len(), some(&self.initial)));
        }
        f.write_str(&phrases.join("; "))
    }
}
