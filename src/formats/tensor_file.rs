//! The contents of a foreign file of tensors, in safetensors or `torch.save` format.

use std::collections::BTreeMap;

use super::element::{Element, Values};
use super::fault::{Checked, Fault};

/// The ending of a file that lists in which files the tensors of a network are.
pub const INDEX: &str = ".index.json";

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header in JSON, followed by the data.
    SafeTensors,
    /// The format of `torch.save` since 1.6.
    TorchZip,
    /// The format of `torch.save` before that.
    TorchLegacy,
}

impl Format {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SafeTensors => "safetensors",
            Self::TorchZip => "PyTorch zip archive",
            Self::TorchLegacy => "PyTorch file from before 1.6",
        }
    }
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its name in the file, or after mapping.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Type of its elements in the file.
    pub element: Element,
    /// Its elements, row-major.
    pub values: Values,
}

/// An entry of a file that is dropped, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// Its name in the file.
    pub name: String,
    /// Why it is dropped.
    pub reason: String,
}

/// The contents of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    /// Its format.
    pub format: Format,
    /// Its tensors.
    pub tensors: Vec<NamedTensor>,
    /// Entries that are not tensors.
    pub dropped: Vec<Dropped>,
    /// Metadata of a safetensors file.
    pub metadata: BTreeMap<String, String>,
}

/// Limit of the bytes of a file's tensors: those that share a storage could otherwise fill any memory.
pub struct Budget(u64);

impl Budget {
    /// Enough to decode every byte to an integer of 8 bytes, or f16 to f32 twice.
    const FACTOR: u64 = 8;

    /// The limit for a file of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Budget(Self::FACTOR.saturating_mul(bytes.len() as u64))
    }

    /// Reserves memory for `count` elements.
    ///
    /// # Errors
    /// If the limit is exceeded.
    pub fn spend(&mut self, count: usize, element: Element) -> Checked<()> {
        let bytes = (count as u64).saturating_mul(element.decoded_size() as u64);
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let reason = format!("its tensors share data and would take more than {} times its size", Self::FACTOR);
            Fault { reason, remedy: "in Python, save clones of the tensors" }
        })?;
        Ok(())
    }
}
