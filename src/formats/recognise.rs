//! Reads a file of tensors in any supported format, detected from its first bytes.

use std::path::Path;

use safetensors::SafeTensors;

use super::archive;
use super::element::Element;
use super::fault::{Checked, Fault, quoted};
use super::tensor_file::{Budget, Format, NamedTensor, TensorFile};
use super::torch;
use crate::error::{Error, Result};

impl TensorFile {
    /// Reads a file in any supported format, detected from its first bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is damaged or contains more than tensors.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes).map_err(|fault| fault.at(path))
    }

    /// Reads a file that is in memory. Never allocates more than a small multiple of its size.
    ///
    /// # Errors
    /// If it is damaged or contains more than tensors.
    pub fn from_bytes(bytes: &[u8]) -> Checked<Self> {
        let mut budget = Budget::of(bytes);
        match bytes {
            // The header's length in 8 bytes, then the header, which is a JSON object. It comes first: a length may
            // look like the start of a pickle, but neither a pickle's nor an archive's ninth byte is a brace.
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

fn read_safetensors(bytes: &[u8], budget: &mut Budget) -> Checked<TensorFile> {
    let broken = |error| Fault::damaged(format!("is not a valid safetensors file: {error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let Some(element) = Element::of_safetensors(view.dtype()) else {
            let reason = format!("{} has the type {}, which is not supported", quoted(name), view.dtype());
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
