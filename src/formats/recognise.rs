//! Reads a file of tensors in any supported format, detected from its first bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use safetensors::SafeTensors;

use super::archive;
use super::element::Element;
use super::fault::{Checked, Fault, quoted};
use super::quantised::restore;
use super::tensor_file::{Budget, Format, INDEX, NamedTensor, TensorFile};
use super::torch;
use crate::error::{Error, Result};

/// The contents of a file that ends in [`INDEX`].
#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads a file in any supported format, detected from its first bytes; or, of a file that ends in [`INDEX`], the
    /// files beside it that it lists.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is damaged or contains more than tensors.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = if path.to_string_lossy().ends_with(INDEX) { read_sharded(path)? } else { read_one(path)? };
        restore(&mut file.tensors).map_err(|fault| fault.at(path))?;
        Ok(file)
    }

    /// Reads a file that is in memory. Never allocates more than a small multiple of its size.
    ///
    /// # Errors
    /// If it is damaged or contains more than tensors.
    pub fn from_bytes(bytes: &[u8]) -> Checked<Self> {
        let mut file = stored_in(bytes)?;
        restore(&mut file.tensors)?;
        Ok(file)
    }
}

/// A file as it is stored: weights in 8 bits are integers beside their scales.
fn read_one(path: &Path) -> Result<TensorFile> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    stored_in(&bytes).map_err(|fault| fault.at(path))
}

fn stored_in(bytes: &[u8]) -> Checked<TensorFile> {
    let mut budget = Budget::of(bytes);
    match bytes {
        // The header's length in 8 bytes, then the header, which is a JSON object. It comes first: a length may look like
        // the start of a pickle, but neither a pickle's nor an archive's ninth byte is a brace.
        [_, _, _, _, _, _, _, _, b'{', ..] => read_safetensors(bytes, &mut budget),
        _ if bytes.starts_with(archive::MAGIC) => torch::read_zip(bytes, &mut budget),
        [0x80, 1..=5, ..] => torch::read_legacy(bytes, &mut budget),
        _ => {
            let reason = "is neither a safetensors file nor one of torch.save";
            Err(Fault { reason: reason.into(), remedy: "give a .safetensors, .pth or .pt file" })
        }
    }
}

/// Reads the files that an index lists, in its folder, and checks that they hold its tensors.
fn read_sharded(path: &Path) -> Result<TensorFile> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let damaged = |reason: String| Fault::damaged(reason).at(path);
    let index: Index =
        serde_json::from_str(&text).map_err(|error| damaged(format!("is not an index of tensors: {error}")))?;
    let files: BTreeSet<_> = index.weight_map.values().collect();
    let mut whole =
        TensorFile { format: Format::SafeTensors, tensors: Vec::new(), dropped: Vec::new(), metadata: BTreeMap::new() };
    for name in files {
        // A name with a folder could lead anywhere.
        if Path::new(name).file_name().is_none_or(|own| own.to_string_lossy() != **name) {
            return Err(damaged(format!("lists the file {}, which is not beside it", quoted(name))));
        }
        let part = read_one(&path.with_file_name(name))?;
        whole.format = part.format;
        whole
            .tensors
            .extend(part.tensors.into_iter().filter(|tensor| index.weight_map.get(&tensor.name) == Some(name)));
        whole.dropped.extend(part.dropped);
    }
    let found: BTreeSet<_> = whole.tensors.iter().map(|tensor| &tensor.name).collect();
    if let Some((name, file)) = index.weight_map.iter().find(|(name, _)| !found.contains(name)) {
        return Err(damaged(format!("lists {} in {}, which does not have it", quoted(name), quoted(file))));
    }
    whole.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(whole)
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
