//! Converts the weights of a run, or of any supported file, to another layout.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, tensor::TensorView};

use super::checkpoint::Checkpoint;
use super::checkpoints::file_of;
use super::keymap::{Layout, Scheme, from_tagseg, to_tagseg};
use crate::config::MsMode;
use crate::error::{Error, Result};
use crate::formats::durable::write_atomically;
use crate::formats::element::{Element, Values};
use crate::formats::fault::quoted;
use crate::formats::storage::{Entry, Reals};
use crate::formats::tensor_file::{Dropped, NamedTensor, TensorFile};
#[cfg(feature = "native")]
use crate::parts::onnx::onnx_of;

/// Key of a trained network's entry in a file's metadata.
const CHECKPOINT: &str = "tagseg";

/// PyTorch's count of the batches that batch norm has seen. Networks here do not have it, since nothing depends on it.
const BATCHES: &str = "decoder.linear_fuse.bn.num_batches_tracked";

/// What to do about a file without supported weights.
const REMEDY: &str = "give weights of BMP or of one of its encoders";

/// Writes the segmentation branch of a run's newest checkpoint, or of a checkpoint's file, as ONNX, see
/// [`onnx_of`](crate::parts::onnx::onnx_of); returns the network.
///
/// # Errors
/// If the source is not a checkpoint, its encoder cannot be written as ONNX, or the file cannot be written.
#[cfg(feature = "native")]
pub fn convert_to_onnx(source: &Path, out: &Path) -> Result<Checkpoint> {
    let source = &file_of(source)?;
    let checkpoint = Checkpoint::load(source)?;
    let file = onnx_of(&checkpoint.config, &checkpoint.classes, &checkpoint.tensors)
        .map_err(|error| Error::data(source, error.to_string(), "give a network that `tagseg train` wrote"))?;
    write_atomically(out, &file)?;
    Ok(checkpoint)
}

/// The result of a conversion.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The layout of the source.
    pub scheme: Scheme,
    /// Number of tensors written.
    pub tensors: usize,
    /// What was dropped.
    pub dropped: Vec<Dropped>,
}

/// Writes the weights of a run's newest checkpoint, or of a file, to `out` as `reals` in `layout`.
///
/// # Errors
/// If the source cannot be read, or has a tensor with an unknown name; with `partial`, such tensors are dropped. Only the
/// layout of tagseg can be stored in 8 bits.
pub fn convert(source: &Path, out: &Path, layout: Layout, partial: bool, reals: Reals) -> Result<Conversion> {
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Error::data(out, "is not a name of a safetensors file", "use a name that ends in .safetensors"));
    }
    if layout != Layout::Tagseg {
        for_other_programs(reals)?;
    }
    let source = &file_of(source)?;
    if out.canonicalize().is_ok_and(|out| source.canonicalize().is_ok_and(|source| source == out)) {
        return Err(Error::data(out, "is the file to convert", "choose another name"));
    }
    let file = TensorFile::read(source)?;
    let mut mapped = to_tagseg(file.tensors).map_err(|fault| fault.at(source))?;
    mapped.dropped.extend(file.dropped);

    let unknown: Vec<_> = mapped.unknown().map(str::to_owned).collect();
    if let (Some(name), false) = (unknown.first(), partial) {
        let reason = format!("{} tensors belong to no supported network, such as {}", unknown.len(), quoted(name));
        return Err(Error::data(source, reason, format!("{REMEDY}, or drop these tensors with --partial")));
    }
    mapped.tensors.retain(|tensor| !unknown.contains(&tensor.name));
    mapped
        .dropped
        .extend(unknown.into_iter().map(|name| Dropped { name, reason: "belongs to no supported network".into() }));
    if mapped.tensors.is_empty() {
        return Err(Error::data(source, "contains no weights of a supported network", REMEDY));
    }

    if layout == Layout::Tagseg {
        // Networks here do not count batches.
        let (kept, counters): (Vec<_>, Vec<_>) =
            mapped.tensors.into_iter().partition(|tensor| matches!(tensor.values, Values::Reals(_)));
        let drop = |tensor: NamedTensor| Dropped { name: tensor.name, reason: "is a batch counter or an index".into() };
        mapped.dropped.extend(counters.into_iter().map(drop));
        mapped.tensors = kept;
    }

    // The number of batches that batch norm has seen follows from the run; in the native layout, the file keeps the
    // configuration of the network.
    if file.metadata.contains_key(CHECKPOINT) {
        let checkpoint = Checkpoint::load(source)?;
        if layout == Layout::Tagseg {
            let network = Checkpoint { training: None, ..checkpoint };
            network.save_as(out, reals)?;
            return Ok(Conversion { scheme: mapped.scheme, tensors: network.tensors.len(), dropped: mapped.dropped });
        }
        mapped.tensors.push(batches(&checkpoint));
    }
    let tensors = from_tagseg(mapped.tensors, layout).map_err(|fault| fault.at(source))?;
    write_atomically(out, &encoded(&tensors, reals)?)?;
    Ok(Conversion { scheme: mapped.scheme, tensors: tensors.len(), dropped: mapped.dropped })
}

/// Checks that other programs know this storage.
pub(super) fn for_other_programs(reals: Reals) -> Result<()> {
    if reals == Reals::Byte {
        let reason = "is for the layout of tagseg: other programs do not know its scales";
        return Err(Error::config("--int8", reason, "use --layout tagseg, or --half instead"));
    }
    Ok(())
}

/// The counter that PyTorch would have after the checkpoint's steps: each runs batch norm once with gradient and, in
/// training form, once for every scale of the multi-scale passes, of which 1 is always one (method.md 3.2).
pub(super) fn batches(checkpoint: &Checkpoint) -> NamedTensor {
    let config = &checkpoint.config;
    let scales = 1 + config.ms_scales.iter().filter(|scale| **scale != 1.0).count();
    let passes = if config.ms_mode == MsMode::Train { 1 + scales } else { 1 };
    let values = Values::Integers(vec![(checkpoint.step * passes) as i64]);
    NamedTensor { name: BATCHES.into(), shape: Vec::new(), element: Element::I64, values }
}

/// Tensors as a safetensors file of PyTorch, integers as i64.
pub(super) fn encoded(tensors: &[NamedTensor], reals: Reals) -> Result<Vec<u8>> {
    let broken = |error| Error::Graph(format!("cannot write the tensors: {error}"));
    let entries = tensors.iter().map(|NamedTensor { name, shape, values, .. }| match values {
        Values::Reals(values) => reals.entries(name, shape, values),
        Values::Integers(values) => {
            let bytes = Cow::Borrowed(bytemuck::cast_slice(values));
            Ok(vec![Entry { name: name.into(), dtype: Dtype::I64, shape: shape.into(), bytes }])
        }
    });
    let entries: Vec<_> = entries.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let views = entries.iter().map(|entry| {
        Ok((&entry.name, TensorView::new(entry.dtype, entry.shape.to_vec(), &entry.bytes).map_err(broken)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(broken)
}
