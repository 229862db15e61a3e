//! A set of golden cases, from a folder or from the program itself, read and checked as a whole before anything runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::manifest::{CaseSpec, ElementType, Manifest};
use crate::error::{Error, Result};

/// The remedy of every error about the set.
const REMEDY: &str = "give a folder with a manifest.json and the files that it names";

/// Cases with their tensors.
pub struct GoldenSet {
    /// The manifest's name of the set.
    pub name: String,
    cases: Vec<GoldenCase>,
}

/// One case with its tensors in memory.
#[derive(Clone)]
pub struct GoldenCase {
    /// The manifest's entry.
    pub spec: CaseSpec,
    file: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

/// A stored tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub values: StoredValues,
}

/// The elements of a stored tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredValues {
    /// Real values.
    F32(Vec<f32>),
    /// Integers.
    I32(Vec<i32>),
}

impl Stored {
    /// The elements as f64, exactly.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            StoredValues::F32(values) => values.iter().map(|&value| f64::from(value)).collect(),
            StoredValues::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        }
    }
}

impl GoldenSet {
    /// Reads a folder.
    ///
    /// # Errors
    /// [`Error::Data`] naming the folder or file that is missing or broken.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::data(folder, "is not a folder", REMEDY));
        }
        Self::read(folder, |file| {
            let path = folder.join(file);
            std::fs::read(&path).map_err(|error| Error::data(&path, format!("cannot be read: {error}"), REMEDY))
        })
    }

    /// The set that is built into the program.
    ///
    /// # Errors
    /// Never, unless the program was built with broken files; a test reads them.
    pub fn built_in() -> Result<Self> {
        Self::read(Path::new("built-in"), super::built_in::read)
    }

    fn read(folder: &Path, bytes: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Self> {
        let file = "manifest.json";
        let manifest: Manifest = serde_json::from_slice(&bytes(file)?).map_err(|error| {
            Error::data(folder.join(file), format!("is not a manifest of golden cases: {error}"), REMEDY)
        })?;
        let read = |spec: CaseSpec| {
            let path = folder.join(&spec.file);
            GoldenCase::read(&bytes(&spec.file)?, spec, &path)
        };
        let cases = manifest.cases.into_iter().map(read).collect::<Result<_>>()?;
        Ok(GoldenSet { name: manifest.set, cases })
    }

    /// The cases in the manifest's order.
    pub fn cases(&self) -> &[GoldenCase] {
        &self.cases
    }

    /// The case that is stored in `file`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn stored_in(&self, file: &str) -> Result<&GoldenCase> {
        let found = self.cases.iter().find(|case| case.spec.file == file);
        found.ok_or_else(|| Error::data(file, "is referred to by a case but is not in the set", REMEDY))
    }
}

impl GoldenCase {
    fn read(bytes: &[u8], spec: CaseSpec, path: &Path) -> Result<Self> {
        let broken = |reason: String| Error::data(path, reason, "copy the folder again");
        let file =
            SafeTensors::deserialize(bytes).map_err(|error| broken(format!("is not a safetensors file: {error}")))?;
        let mut tensors = BTreeMap::new();
        for (name, expected) in &spec.tensors {
            let view = file.tensor(name).map_err(|_| broken(format!("has no tensor `{name}`")))?;
            let four = |chunk: &[u8]| [chunk[0], chunk[1], chunk[2], chunk[3]];
            let elements = view.data().chunks_exact(4).map(four);
            let values = match (view.dtype(), expected.dtype) {
                (Dtype::F32, ElementType::F32) => StoredValues::F32(elements.map(f32::from_le_bytes).collect()),
                (Dtype::I32, ElementType::I32) => StoredValues::I32(elements.map(i32::from_le_bytes).collect()),
                (found, expected) => {
                    return Err(broken(format!("`{name}` is {found:?}, but {expected:?} in the manifest")));
                }
            };
            if expected.shape.contains(&0) {
                return Err(broken(format!("`{name}` {:?} is empty", expected.shape)));
            }
            if view.shape() != expected.shape {
                let reason = format!("`{name}` is {:?}, but {:?} in the manifest", view.shape(), expected.shape);
                return Err(broken(reason));
            }
            tensors.insert(name.clone(), Stored { shape: expected.shape.clone(), values });
        }
        Ok(GoldenCase { spec, file: path.to_owned(), tensors })
    }

    /// Replaces a tensor.
    #[cfg(test)]
    pub(super) fn set_tensor(&mut self, name: &str, stored: Stored) {
        self.tensors.insert(name.to_owned(), stored);
    }

    /// The case's name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The parts of a case: what precedes `suffix` in every tensor name that ends with it, sorted. Cotangents and
    /// gradients, which repeat the names of other tensors, are omitted.
    pub fn parts(&self, suffix: &str) -> Vec<&str> {
        let own = self.names().filter(|name| !name.starts_with("cot.") && !name.starts_with("grad."));
        own.filter_map(|name| name.strip_suffix(suffix)).collect()
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<&Stored> {
        self.tensors.get(name).ok_or_else(|| self.lacks(format!("tensor `{name}`")))
    }

    /// Extents of the tensor `name`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.tensor(name)?.shape)
    }

    /// Extents of the tensor `name`, which must have `N` axes.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or it has another number of axes.
    pub fn extents<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let shape = self.shape(name)?;
        <[usize; N]>::try_from(shape)
            .map_err(|_| self.lacks(format!("tensor `{name}` of {N} axes: its shape is {shape:?}")))
    }

    /// Elements of the real tensor `name`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or it holds integers.
    pub fn reals(&self, name: &str) -> Result<&[f32]> {
        match &self.tensor(name)?.values {
            StoredValues::F32(values) => Ok(values),
            StoredValues::I32(_) => Err(self.lacks(format!("tensor `{name}` of real values"))),
        }
    }

    /// Elements of the integer tensor `name`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or it holds real values.
    pub fn integers(&self, name: &str) -> Result<&[i32]> {
        match &self.tensor(name)?.values {
            StoredValues::I32(values) => Ok(values),
            StoredValues::F32(_) => Err(self.lacks(format!("tensor `{name}` of integers"))),
        }
    }

    /// The constant at `path`, whose steps are separated by `/`, as in `sr4/heads`.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or it is of another type.
    pub fn constant<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        let value = self.spec.constants.pointer(&format!("/{path}")).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| self.lacks(format!("valid constant `{path}` ({error})")))
    }

    fn lacks(&self, what: String) -> Error {
        Error::data(&self.file, format!("case `{}` has no {what}", self.spec.name), REMEDY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(folder: &Path) -> String {
        let error = GoldenSet::open(folder).err().unwrap().to_string();
        assert!(
            !error.contains('\n') && error.ends_with(REMEDY) || error.ends_with("copy the folder again"),
            "{error}"
        );
        error
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, bytes: &[u8]| std::fs::write(folder.path().join(file), bytes).unwrap();
        assert!(refusal(&folder.path().join("nowhere")).contains("nowhere: is not a folder"));
        assert!(refusal(folder.path()).contains("manifest.json: cannot be read"));
        write("manifest.json", b"{\"cases\": 3}");
        assert!(refusal(folder.path()).contains("manifest.json: is not a manifest"));
        let manifest = br#"{"cases": [{"name": "a", "file": "a.safetensors", "group": "ops",
            "tensors": {"x": {"shape": [2], "dtype": "f32", "role": "input"}}}]}"#;
        write("manifest.json", manifest);
        assert!(refusal(folder.path()).contains("a.safetensors: cannot be read"));
        write("a.safetensors", b"no tensors");
        assert!(refusal(folder.path()).contains("a.safetensors: is not a safetensors file"));
        let stored = |shape: &[usize], dtype, bytes: &[u8]| {
            let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
            write("a.safetensors", &safetensors::serialize([("x", view)], None).unwrap());
        };
        stored(&[1], Dtype::F32, &[0; 4]);
        assert!(refusal(folder.path()).contains("`x` is [1], but [2] in the manifest"));
        stored(&[2], Dtype::I32, &[0; 8]);
        assert!(refusal(folder.path()).contains("`x` is I32, but F32 in the manifest"));
        stored(&[2], Dtype::F32, &[0, 0, 128, 63, 0, 0, 0, 64]);
        let set = GoldenSet::open(folder.path()).unwrap();
        assert_eq!(set.cases()[0].reals("x").unwrap(), [1.0, 2.0]);
        assert!(set.cases()[0].integers("x").unwrap_err().to_string().contains("no tensor `x` of integers"));
        assert!(set.cases()[0].constant::<f64>("eps").unwrap_err().to_string().contains("no valid constant `eps`"));
        assert!(set.stored_in("b.safetensors").is_err());
    }

    #[test]
    fn the_built_in_set_is_whole() {
        assert!(!GoldenSet::built_in().unwrap().cases().is_empty());
    }
}
