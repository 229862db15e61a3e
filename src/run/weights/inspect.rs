//! Lists the contents of a file of weights.

use std::path::Path;

use serde::Serialize;

use super::checkpoints::file_of;
use super::keymap::{Scheme, to_tagseg};
use super::training::is_training_state;
use crate::error::Result;
use crate::formats::element::Values;
use crate::formats::tensor_file::{Dropped, TensorFile};
use crate::parts::encoders::recognise;

/// The table of contents of a file of weights.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file's format.
    pub format: &'static str,
    /// The layout of its names.
    pub layout: String,
    /// The encoder in it, if there is one.
    pub backbone: Option<String>,
    /// Number of real values in all tensors, without training state.
    pub parameters: usize,
    /// Its tensors.
    pub tensors: Vec<InspectedTensor>,
    /// What `--weights` and `convert` drop.
    pub dropped: Vec<Dropped>,
    /// Tensors with unknown names.
    pub unknown: Vec<String>,
}

/// One tensor as stored in the file.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: &'static str,
}

/// Inspects a file, or a run's newest checkpoint.
///
/// # Errors
/// If it cannot be read.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let path = &file_of(path)?;
    let file = TensorFile::read(path)?;
    let tensors = file.tensors.iter().map(|tensor| InspectedTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: tensor.element.name(),
    });
    let tensors = tensors.collect();
    let network = file.tensors.iter().filter(|tensor| !is_training_state(&tensor.name));
    let parameters = network.map(|tensor| match &tensor.values {
        Values::Reals(values) => values.len(),
        Values::Integers(_) => 0,
    });
    let parameters = parameters.sum();
    let mapped = to_tagseg(file.tensors).map_err(|fault| fault.at(path))?;
    let shapes: Vec<_> = mapped.tensors.iter().map(|tensor| (&tensor.name[..], &tensor.shape[..])).collect();
    Ok(Inspection {
        format: file.format.name(),
        layout: mapped.scheme.to_string(),
        backbone: recognise(&shapes).filter(|_| mapped.scheme != Scheme::Unknown),
        parameters,
        unknown: mapped.unknown().map(str::to_owned).collect(),
        tensors,
        dropped: [file.dropped, mapped.dropped].concat(),
    })
}
