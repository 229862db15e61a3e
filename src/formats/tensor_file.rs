//! A file of tensors from elsewhere: safetensors, or what `torch.save` writes.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;

use super::archive;
use super::element::{Element, Values};
use super::fault::{Checked, Fault, quoted};
use super::torch;
use crate::error::{Error, Result};

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

impl TensorFile {
    /// Reads a file of any known format, which its first bytes tell.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is damaged or holds more than tensors.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes).map_err(|fault| fault.at(path))
    }

    /// Reads a file that is in memory. Never allocates more than a small multiple of its size.
    ///
    /// # Errors
    /// If it is damaged or holds more than tensors.
    pub fn from_bytes(bytes: &[u8]) -> Checked<Self> {
        let mut budget = Budget::of(bytes);
        match bytes {
            // The header's length in 8 bytes, then the header, which is a JSON object. It comes first: a length may look
            // like the start of a pickle, but neither a pickle's nor an archive's ninth byte is a brace.
            [_, _, _, _, _, _, _, _, b'{', ..] => read_safetensors(bytes, &mut budget),
            _ if bytes.starts_with(archive::MAGIC) => torch::read_zip(bytes, &mut budget),
            [0x80, 1..=5, ..] => torch::read_legacy(bytes, &mut budget),
            _ => {
                let reason = "is neither a safetensors file nor one of torch.save";
                Err(Fault { reason: reason.into(), remedy: "give a .safetensors, .pth or .pt file" })
            }
        }
    }
}

/// Bytes that the tensors of a file may take: tensors that share a storage could otherwise fill any memory.
pub struct Budget(u64);

impl Budget {
    /// Enough for every byte to become an integer of 8, or a half float and its twin.
    const FACTOR: u64 = 8;

    fn of(bytes: &[u8]) -> Self {
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

fn read_safetensors(bytes: &[u8], budget: &mut Budget) -> Checked<TensorFile> {
    let broken = |error| Fault::damaged(format!("is no sound safetensors file: {error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let Some(element) = Element::of_safetensors(view.dtype()) else {
            let reason = format!("{} is of type {}, which is not read here", quoted(name), view.dtype());
            return Err(Fault { reason, remedy: "convert the file to f32 in Python" });
        };
        budget.spend(view.data().len() / element.size(), element)?;
        let (name, shape, values) = (name.to_owned(), view.shape().to_vec(), element.decode(view.data()));
        tensors.push(NamedTensor { name, shape, element, values });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let metadata = header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect();
    Ok(TensorFile { format: Format::SafeTensors, tensors, dropped: Vec::new(), metadata })
}
