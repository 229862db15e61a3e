//! `manifest.json`: what the golden cases are and how close a result has to come.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A folder's list of cases.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Name of the set, for example `visible`.
    #[serde(default)]
    pub set: String,
    /// The cases in their order.
    pub cases: Vec<CaseSpec>,
}

/// One case: a file of tensors and the constants that belong to it.
#[derive(Debug, Clone, Deserialize)]
pub struct CaseSpec {
    /// Name, by which its runner is found.
    pub name: String,
    /// File in the manifest's folder.
    pub file: String,
    /// Group: ops, blocks, recipe, propagation, model, pseudo, training, evaluation.
    pub group: String,
    /// Seed of everything that comes from the hash recipe.
    #[serde(default)]
    pub seed: u64,
    /// Strides, epsilons, thresholds, network layouts.
    #[serde(default)]
    pub constants: serde_json::Value,
    /// The description of each tensor, by name.
    pub tensors: BTreeMap<String, TensorSpec>,
}

/// One tensor of a case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TensorSpec {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: ElementType,
    /// Role of the tensor.
    #[serde(flatten)]
    pub role: Role,
}

/// Element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// Real values.
    F32,
    /// Integers.
    I32,
}

/// The role of a tensor and, if it is compared, how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Role {
    /// An input of the program.
    Input,
    /// Information that is not compared.
    Info,
    /// Must be identical.
    Exact,
    /// A result, compared within its tolerance.
    Output(Tolerance),
    /// A gradient, compared within its tolerance.
    Grad(Tolerance),
    /// An integer map of which a few elements may sit on a decision boundary.
    #[serde(rename_all = "snake_case")]
    Label {
        /// Largest share of elements that may differ.
        max_mismatch_fraction: f64,
    },
}

/// |got − want| ≤ atol + rtol·|want| is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Tolerance {
    /// The absolute part.
    pub atol: Absolute,
    /// The relative part.
    pub rtol: f64,
    /// Largest magnitude in the tensor.
    pub max_abs: f64,
    /// The largest error of a plain f32 run of the reference.
    pub f32_max_abs_err: f64,
}

/// The absolute part of a tolerance: a sum of three parts, of which most tensors have only the first.
///
/// The manifest writes it as a number, or per element as
/// `"per element: 20 * |NAME@f32 - NAME| + 2e-7 * max_abs"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(try_from = "RawAbsolute")]
pub struct Absolute {
    /// Constant for all elements.
    pub constant: f64,
    /// Times the element's deviation in the reference's own f32 run, which is stored as `NAME@f32`.
    pub f32_deviation: f64,
    /// Times the largest magnitude in the tensor.
    pub max_abs: f64,
}

/// The two forms in the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawAbsolute {
    Number(f64),
    Text(String),
}

impl TryFrom<RawAbsolute> for Absolute {
    type Error = String;

    fn try_from(raw: RawAbsolute) -> Result<Self, String> {
        match raw {
            RawAbsolute::Number(constant) => Ok(Absolute { constant, ..Absolute::default() }),
            RawAbsolute::Text(text) => Absolute::parse(&text).ok_or_else(|| format!("`{text}` is not a tolerance")),
        }
    }
}

impl Absolute {
    /// Reads a sum of terms `FACTOR * |NAME@f32 - NAME|`, `FACTOR * max_abs`, `NUMBER`, after `per element:`.
    fn parse(text: &str) -> Option<Self> {
        let mut sum = Absolute::default();
        for term in text.trim().strip_prefix("per element:").unwrap_or(text).split(" + ") {
            let (factor, quantity) = match term.split_once('*') {
                Some((factor, quantity)) => (factor.trim().parse().ok()?, quantity.trim()),
                None => term.trim().parse().map_or((1.0, term.trim()), |constant| (constant, "1")),
            };
            match quantity {
                "1" => sum.constant += factor,
                "max_abs" => sum.max_abs += factor,
                "|NAME@f32 - NAME|" => sum.f32_deviation += factor,
                _ => return None,
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absolute(json: &str) -> Result<Absolute, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn tolerances_are_numbers_or_sums_per_element() {
        assert_eq!(absolute("2.5e-5").unwrap(), Absolute { constant: 2.5e-5, ..Absolute::default() });
        assert_eq!(
            absolute("\"per element: 20 * |NAME@f32 - NAME| + 2e-7 * max_abs\"").unwrap(),
            Absolute { constant: 0.0, f32_deviation: 20.0, max_abs: 2e-7 }
        );
        assert_eq!(
            absolute("\"per element: |NAME@f32 - NAME| + 1e+1 * max_abs + 1e-9\"").unwrap(),
            Absolute { constant: 1e-9, f32_deviation: 1.0, max_abs: 10.0 }
        );
        let error = absolute("\"as close as you can\"").unwrap_err().to_string();
        assert!(error.contains("`as close as you can` is not a tolerance"), "{error}");
    }

    #[test]
    fn a_tensor_says_what_it_is_for() {
        let grad = r#"{"shape": [2], "dtype": "f32", "role": "grad", "atol": 1e-6, "rtol": 1e-4, "max_abs": 3.0,
            "f32_max_abs_err": 1e-7, "rms": 1.0, "note": "unknown keys are ignored"}"#;
        let grad: TensorSpec = serde_json::from_str(grad).unwrap();
        assert!(matches!(grad.role, Role::Grad(Tolerance { max_abs: 3.0, .. })));
        let label = r#"{"shape": [2, 3], "dtype": "i32", "role": "label", "max_mismatch_fraction": 0.01}"#;
        let label: TensorSpec = serde_json::from_str(label).unwrap();
        assert_eq!(label.role, Role::Label { max_mismatch_fraction: 0.01 });
        let nameless = serde_json::from_str::<TensorSpec>(r#"{"shape": [], "dtype": "f32", "role": "guess"}"#);
        assert!(nameless.is_err());
    }
}
