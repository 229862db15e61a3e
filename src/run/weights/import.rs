//! Loads weights from other programs into a network.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::checkpoints::file_of;
use super::keymap::{Scheme, of_encoder, to_tagseg};
use super::report::{KeyReport, Misshaped};
use crate::engine::nn::Parameter;
use crate::engine::session::Session;
use crate::error::{Error, Result};
use crate::formats::element::Values;
use crate::formats::fault::quoted;
use crate::formats::tensor_file::{Dropped, NamedTensor, TensorFile};
use crate::parts::encoders::{is_listed, recognise};

/// The tensors of a file that match a network.
pub struct Import {
    /// The file.
    pub path: PathBuf,
    /// The layout of the file.
    pub scheme: Scheme,
    /// The name of the encoder in it, if it is a known one.
    pub encoder: Option<String>,
    /// The outcome for every key.
    pub report: KeyReport,
    /// Shape and values by native name.
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Import {
    /// Reads a file in any layout, or the newest checkpoint of a run, for the network with `parameters`. A file that
    /// contains only an encoder must have all tensors of the encoder. Otherwise every tensor must match, unless
    /// `partial`.
    ///
    /// # Errors
    /// If the file cannot be read, does not match, or has values that are not finite.
    pub fn read(path: &Path, parameters: &[Parameter], partial: bool) -> Result<Self> {
        let path = &file_of(path)?;
        Self::checked(path, TensorFile::read(path)?, parameters, partial)
    }

    /// As [`Import::read`], of a file in memory; `path` is its name in errors.
    ///
    /// # Errors
    /// As [`Import::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8], parameters: &[Parameter]) -> Result<Self> {
        let file = TensorFile::from_bytes(bytes).map_err(|fault| fault.at(path))?;
        Self::checked(path, file, parameters, false)
    }

    fn checked(path: &Path, file: TensorFile, parameters: &[Parameter], partial: bool) -> Result<Self> {
        let import = Self::match_up(path, file, parameters)?;
        import.report.check(path, partial, &import.remedy(parameters))?;
        let infinite = import.tensors.iter().find(|(_, (_, values))| !values.iter().all(|value| value.is_finite()));
        if let Some((name, _)) = infinite {
            let reason = format!("tensor `{name}` has values that are not finite as f32");
            return Err(Error::data(path, reason, "use the weights of a run that did not diverge"));
        }
        let is_variance = |name: &str| name.ends_with(".running_var");
        let mut variances = import.tensors.iter().filter(|(name, _)| is_variance(name));
        if let Some((name, _)) = variances.find(|(_, (_, values))| values.iter().any(|value| *value < 0.0)) {
            return Err(Error::data(path, format!("`{name}` has negative variances"), "copy the file again"));
        }
        Ok(import)
    }

    /// Sorts the file's tensors into those that match and those that do not.
    fn match_up(path: &Path, file: TensorFile, parameters: &[Parameter]) -> Result<Self> {
        let mapped = to_tagseg(file.tensors).map_err(|fault| fault.at(path))?;
        let mut report = KeyReport { dropped: [file.dropped, mapped.dropped.clone()].concat(), ..KeyReport::default() };
        let shapes: Vec<_> = mapped.tensors.iter().map(|tensor| (&tensor.name[..], &tensor.shape[..])).collect();
        let encoder = recognise(&shapes);
        let encoder_only = mapped.is_encoder_only();
        let known: BTreeMap<_, _> = parameters.iter().map(|parameter| (&parameter.name[..], parameter)).collect();

        let mut tensors = BTreeMap::new();
        for NamedTensor { name, shape, values, .. } in mapped.tensors {
            let values = match values {
                Values::Reals(values) => values,
                Values::Integers(_) => {
                    report.dropped.push(Dropped { name, reason: "is a batch counter or an index".into() });
                    continue;
                }
            };
            match known.get(&name[..]) {
                None => report.unexpected.push(name),
                Some(parameter) if parameter.shape[..] != shape[..] => {
                    report.misshaped.push(Misshaped { name, found: shape, expected: parameter.shape.to_vec() });
                }
                Some(_) => {
                    report.loaded.push(name.clone());
                    tensors.insert(name, (shape, values));
                }
            }
        }
        let absent = |name: &&str| {
            !tensors.contains_key(*name) && !report.misshaped.iter().any(|misshaped| misshaped.name == **name)
        };
        let absent: Vec<_> = parameters.iter().map(|parameter| &parameter.name[..]).filter(absent).collect();
        for name in absent {
            let may = encoder_only && !of_encoder(name);
            if may { &mut report.initial } else { &mut report.missing }.push(name.to_owned());
        }
        Ok(Import { path: path.to_owned(), scheme: mapped.scheme, encoder, report, tensors })
    }

    /// The remedy if the file does not match: most often it is for a different backbone.
    fn remedy(&self, parameters: &[Parameter]) -> String {
        let shapes: Vec<_> = parameters.iter().map(|parameter| (&parameter.name[..], &parameter.shape[..])).collect();
        match (&self.encoder, &recognise(&shapes)) {
            (Some(found), Some(wanted)) if found != wanted => match is_listed(found) {
                true => format!("the file contains {found} but the network is {wanted}: set model.backbone={found}"),
                false => format!("the file contains {found} but the network is {wanted}: give weights of {wanted}"),
            },
            (None, Some(wanted)) => {
                let name = self.report.unexpected.first();
                let names = name.map_or(String::new(), |name| format!(" (its names are like {})", quoted(name)));
                format!("the file contains no known encoder{names}: give weights of {wanted}")
            }
            _ => "give weights of the same network".into(),
        }
    }

    /// Shape and values of the loaded tensors by native name.
    pub fn tensors(&self) -> &BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        &self.tensors
    }

    /// Loads the values into the network in `session`; other parameters are unchanged.
    ///
    /// # Errors
    /// If one of them has a different shape in the session.
    pub fn put(&self, session: &Session) -> Result<()> {
        let mut session = session.clone();
        self.tensors.iter().try_for_each(|(name, (shape, values))| session.set_state(name, shape, values))
    }
}

/// One line, as in `weights mit_b1.pth (original MiT encoder, mit_b1): 176 tensors loaded; …`.
impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights {} ({}", self.path.display(), self.scheme)?;
        if let Some(encoder) = &self.encoder {
            write!(f, ", {encoder}")?;
        }
        write!(f, "): {}", self.report)
    }
}
