//! What a file of tensors from elsewhere holds, be it safetensors or what `torch.save` writes.

use std::collections::BTreeMap;

use super::element::{Element, Values};
use super::fault::{Checked, Fault};

/// How a file is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header in JSON and the numbers behind it.
    SafeTensors,
    /// What `torch.save` writes since 1.6.
    TorchZip,
    /// What `torch.save` wrote before.
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
    /// Its name in the file, or after a key map.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// What its elements were in the file.
    pub element: Element,
    /// Its elements, row-major.
    pub values: Values,
}

/// Something of a file that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// Its name in the file.
    pub name: String,
    /// Why it is not wanted.
    pub reason: String,
}

/// Everything a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorFile {
    /// How it is built.
    pub format: Format,
    /// Its tensors.
    pub tensors: Vec<NamedTensor>,
    /// What else stood among them.
    pub dropped: Vec<Dropped>,
    /// Text that a safetensors file carries along.
    pub metadata: BTreeMap<String, String>,
}

/// Bytes that the tensors of a file may take: tensors that share a storage could otherwise fill any memory.
pub struct Budget(u64);

impl Budget {
    /// Enough for every byte to become an integer of 8, or a half float and its twin.
    const FACTOR: u64 = 8;

    /// What a file of these bytes may take.
    pub fn of(bytes: &[u8]) -> Self {
        Budget(Self::FACTOR.saturating_mul(bytes.len() as u64))
    }

    /// Takes the room for `count` elements.
    ///
    /// # Errors
    /// If there is no more.
    pub fn spend(&mut self, count: usize, element: Element) -> Checked<()> {
        let bytes = (count as u64).saturating_mul(element.decoded_size() as u64);
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            let reason = format!("its tensors share their data so much that they take {} times its size", Self::FACTOR);
            Fault { reason, remedy: "in Python, save clones of the tensors" }
        })?;
        Ok(())
    }
}
