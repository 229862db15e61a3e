//! What a file of weights holds, to print.

use std::path::Path;

use serde::Serialize;

use super::keymap::{Scheme, to_tagseg};
use super::shelf::file_of;
use super::training::is_training_state;
use crate::error::Result;
use crate::formats::element::Values;
use crate::formats::tensor_file::{Dropped, TensorFile};
use crate::parts::encoders::recognise;

/// The table of contents of a file of weights.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// How the file is built.
    pub format: &'static str,
    /// The layout of its names.
    pub layout: String,
    /// The encoder in it, if there is one.
    pub backbone: Option<String>,
    /// Number of real values in all tensors but the states of training.
    pub parameters: usize,
    /// Its tensors.
    pub tensors: Vec<InspectedTensor>,
    /// What `--weights` and `convert` leave out.
    pub dropped: Vec<Dropped>,
    /// Tensors whose names say nothing to us.
    pub unknown: Vec<String>,
}

/// One tensor as the file has it.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTensor {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: &'static str,
}

/// Looks into a file, or into a run's newest checkpoint.
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
