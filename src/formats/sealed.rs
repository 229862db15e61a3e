//! A file that detects damage: tensors of f32, f16 or 8 bits in a safetensors file, with a JSON object and a checksum.
//!
//! The object is in the header's metadata, and its first entry is a CRC-32 of everything after it, text and tensors.
//! So the same content gives the same bytes, and every truncation and bit flip is detected.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crc32fast::Hasher;
use safetensors::{SafeTensors, tensor::TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::durable::write_atomically;
use super::element::{Element, Values};
use super::quantised::restore;
use super::storage::Reals;
use super::tensor_file::NamedTensor;
use crate::error::{Error, Result};

/// Shape and values by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Writes `tensors` as `reals`, and the struct `metadata` under `key`; see [`write_atomically`].
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn write<'t>(
    path: &Path,
    key: &str,
    metadata: &impl Serialize,
    tensors: impl Iterator<Item = (&'t String, &'t (Vec<usize>, Vec<f32>))>,
    reals: Reals,
) -> Result<()> {
    let unwritable = |error: safetensors::SafeTensorError| Error::Graph(format!("{}: {error}", path.display()));
    let text = serde_json::to_string(metadata).map_err(|error| Error::Graph(error.to_string()))?;
    let entries = tensors.map(|(name, (shape, values))| reals.entries(name, shape, values));
    let entries: Vec<_> = entries.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let views = entries
        .iter()
        .map(|entry| Ok((&*entry.name, TensorView::new(entry.dtype, entry.shape.to_vec(), &entry.bytes)?)))
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(unwritable)?;
    let text = sealed(&text, checksum(&text, &views));
    let bytes = safetensors::serialize(views, Some(HashMap::from([(key.to_owned(), text)]))).map_err(unwritable)?;
    write_atomically(path, &bytes)
}

/// Reads the bytes of a file for [`read`].
///
/// # Errors
/// [`Error::Data`] with the same `remedy`.
pub fn bytes(path: &Path, remedy: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::data(path, error.to_string(), remedy))
}

/// Reads the bytes of a file that [`write()`] wrote with the same `key`. `path` is its name in errors, and `remedy`
/// tells what to give instead.
///
/// # Errors
/// [`Error::Data`] if it is another kind of file, or damaged.
pub fn read<M: DeserializeOwned>(path: &Path, bytes: &[u8], key: &str, remedy: &str) -> Result<(M, Tensors)> {
    let broken = |reason: String| Error::data(path, reason, remedy);
    // It begins with a length, and a header in JSON.
    if bytes.get(8) != Some(&b'{') && path.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(broken("is another kind of file".into()));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| broken(format!("is damaged: {error}")))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
    let text = header.metadata().as_ref().and_then(|entries| entries.get(key));
    let text = text.ok_or_else(|| broken("contains no configuration".into()))?;
    let (expected, text) = unsealed(text).ok_or_else(|| broken("is damaged: it has no checksum".into()))?;
    let views = file.iter().collect::<BTreeMap<_, _>>();
    let actual = checksum(&text, &views);
    if actual != expected {
        return Err(broken(format!("is damaged: its checksum is {actual:08x} instead of {expected:08x}")));
    }
    let metadata =
        serde_json::from_str(&text).map_err(|error| broken(format!("its configuration is damaged: {error}")))?;
    let mut tensors = Vec::new();
    for (name, view) in views {
        let element = Element::of_safetensors(view.dtype());
        let element = element
            .ok_or_else(|| broken(format!("tensor `{name}` has the type {}, which is not supported", view.dtype())))?;
        let values = element.decode(view.data());
        tensors.push(NamedTensor { name: name.to_owned(), shape: view.shape().to_vec(), element, values });
    }
    restore(&mut tensors).map_err(|fault| broken(fault.reason))?;
    let tensors = tensors.into_iter().map(|tensor| match tensor.values {
        Values::Reals(values) => Ok((tensor.name, (tensor.shape, values))),
        Values::Integers(_) => Err(broken(format!("tensor `{}` does not consist of real numbers", tensor.name))),
    });
    Ok((metadata, tensors.collect::<Result<_>>()?))
}

/// CRC-32 of the metadata's text and of name, shape and bytes of every tensor.
fn checksum(text: &str, tensors: &BTreeMap<&str, TensorView>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    for (name, view) in tensors {
        hasher.update(name.as_bytes());
        for extent in view.shape() {
            hasher.update(&(*extent as u64).to_le_bytes());
        }
        hasher.update(view.data());
    }
    hasher.finalize()
}

/// The text before and after the eight hexadecimal digits that [`sealed`] adds to an object.
const SEAL: [&str; 2] = ["{\"checksum\":\"", "\","];

/// The text of a JSON object with a checksum as its first entry.
fn sealed(object: &str, checksum: u32) -> String {
    let [before, after] = SEAL;
    format!("{before}{checksum:08x}{after}{}", &object[1..])
}

/// The checksum and the text that [`sealed`] was given.
fn unsealed(text: &str) -> Option<(u32, String)> {
    let [before, after] = SEAL;
    let (checksum, rest) = text.strip_prefix(before)?.split_at_checked(8)?;
    Some((u32::from_str_radix(checksum, 16).ok()?, format!("{{{}", rest.strip_prefix(after)?)))
}
