//! Compares the results of a case with the stored ones, tensor by tensor, by the role given in the manifest.

use std::collections::BTreeMap;

use super::golden::GoldenCase;
use super::manifest::{Role, Tolerance};
use crate::error::{Error, Result};

/// Labels may differ from the stored ones only where the stored distance to a decision boundary is at most this.
const DECIDED: f64 = 1e-3;

/// Allowed deviation of a network's results if its features are stored in half precision, on top of the manifest's
/// tolerance: relative to the tensor's largest magnitude. The largest deviation of the cases is 0.006, which is the f64
/// interpreter's deviation, too, since it rounds where a device does.
const HALF_VALUES: f64 = 0.01;

/// The same for gradients, of which some elements are small differences of large sums: 0.09 at worst, 0.03 in the
/// complete loss.
const HALF_GRADIENTS: f64 = 0.12;

/// What a whole gradient may deviate in half precision, so that it cannot be zero almost everywhere: the norm of the
/// error relative to that of the gradient (0.057 at worst),
const HALF_GRADIENT_ERROR: f64 = 0.08;

/// and the cosine of the angle between the two (0.9987 at worst).
const HALF_GRADIENT_COSINE: f64 = 0.997;

/// Not judged as a whole are gradients that are zero but for rounding, as of a bias before a norm: a run in f32 strays
/// by more than this share of the largest.
const DETERMINED: f64 = 1e-3;

/// In half precision, labels may differ where the distance to a decision boundary is at most this,
const HALF_DECIDED: f64 = 0.01;

/// and in this share of the elements.
const HALF_LABELS: f64 = 0.01;

/// Half a unit in the last place of an f32, relative to its value: what storing a value as f32 may change.
const F32_ROUNDING: f64 = 1.0 / (1u64 << 24) as f64;

/// The rounding that a result is subject to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// A device: the manifest's tolerances hold.
    Single,
    /// Features stored in half precision, on either: separate limits.
    Half,
    /// The f64 interpreter: only the stored value's own rounding and f64 noise are forgiven, and labels must be equal.
    Double,
}

/// The results of a case, by the names of the stored tensors.
#[derive(Debug, Default)]
pub struct Results {
    tensors: BTreeMap<String, Computed>,
}

#[derive(Debug)]
struct Computed {
    shape: Vec<usize>,
    values: Vec<f64>,
    undetermined: Vec<usize>,
}

impl Results {
    /// Records a tensor.
    pub fn set(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f64>) {
        self.set_but(name, shape, values, Vec::new());
    }

    /// Records a tensor of which the elements `undetermined` are not compared, because exact arithmetic does not
    /// determine them (the README of the golden cases says which these are).
    pub fn set_but(&mut self, name: impl Into<String>, shape: &[usize], values: Vec<f64>, undetermined: Vec<usize>) {
        self.tensors.insert(name.into(), Computed { shape: shape.to_vec(), values, undetermined });
    }

    /// Names of all recorded tensors.
    pub fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    /// Shape and values of a recorded tensor.
    pub fn get(&self, name: &str) -> Option<(&[usize], &[f64])> {
        self.tensors.get(name).map(|computed| (&computed.shape[..], &computed.values[..]))
    }

    /// Records a scalar.
    pub fn set_scalar(&mut self, name: impl Into<String>, value: f64) {
        self.set(name, &[], vec![value]);
    }
}

/// The deviation of a tensor, at the element that is nearest to its limit or furthest beyond.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// The tensor.
    pub tensor: String,
    /// |got − want|, for labels the share of elements that differ.
    pub error: f64,
    /// The largest accepted error there.
    pub limit: f64,
}

impl Deviation {
    /// Error divided by limit: at most 1 if the tensor passes. Infinite for NaN, and for an error if none is accepted.
    pub fn ratio(&self) -> f64 {
        if self.error == 0.0 {
            return 0.0;
        }
        let ratio = self.error / self.limit;
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    }

    /// Whether the tensor passes.
    pub fn passes(&self) -> bool {
        self.ratio() <= 1.0
    }
}

/// The comparison of all tensors of a case.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The largest deviation relative to its limit, if anything was compared.
    pub worst: Option<Deviation>,
    /// What is wrong, one line per tensor; empty if the case passes.
    pub faults: Vec<String>,
    /// Tensors compared.
    pub compared: usize,
}

impl Judgement {
    fn add(&mut self, deviation: Deviation) {
        self.compared += 1;
        if !deviation.passes() {
            let Deviation { tensor, error, limit } = &deviation;
            self.faults.push(format!("{tensor}: error {error:.2e} exceeds its limit {limit:.2e}"));
        }
        if self.worst.as_ref().is_none_or(|worst| worst.ratio() < deviation.ratio()) {
            self.worst = Some(deviation);
        }
    }
}

/// Compares every tensor of `case` that has to be computed with `results`.
///
/// # Errors
/// If the case lacks a tensor that its tolerances refer to, or has it in another shape.
pub fn judge(case: &GoldenCase, results: &Results, rounding: Rounding) -> Result<Judgement> {
    let mut judgement = Judgement::default();
    for (name, spec) in &case.spec.tensors {
        if matches!(spec.role, Role::Input | Role::Info) {
            continue;
        }
        let Some(got) = results.tensors.get(name) else {
            judgement.faults.push(format!("{name}: was not computed"));
            continue;
        };
        if got.shape != spec.shape {
            judgement.faults.push(format!("{name}: has shape {:?} instead of {:?}", got.shape, spec.shape));
            continue;
        }
        let want = case.tensor(name)?.to_f64();
        let deviation = match &spec.role {
            Role::Input | Role::Info => continue,
            Role::Exact => elementwise(&got.values, &want, &got.undetermined, |_| 0.0),
            Role::Output(tolerance) | Role::Grad(tolerance) => match rounding {
                Rounding::Single => single(case, name, tolerance, 0.0, got, &want)?,
                Rounding::Half => {
                    // MiT-B1's gradients are stored as outputs: their norms and a few elements.
                    let gradient = matches!(spec.role, Role::Grad(_)) || name.starts_with("grad_");
                    let share = if gradient { HALF_GRADIENTS } else { HALF_VALUES };
                    if gradient && tolerance.f32_max_abs_err <= DETERMINED * tolerance.max_abs {
                        judgement.faults.extend(astray(name, got, &want));
                    }
                    single(case, name, tolerance, share, got, &want)?
                }
                Rounding::Double => double(tolerance, got, &want),
            },
            Role::Label { max_mismatch_fraction } => {
                let (limit, close) = match rounding {
                    Rounding::Single => (*max_mismatch_fraction, DECIDED),
                    Rounding::Half => (max_mismatch_fraction.max(HALF_LABELS), HALF_DECIDED),
                    Rounding::Double => (0.0, DECIDED),
                };
                let decided = decided_mismatches(case, name, close, got, &want)?;
                if decided > 0 {
                    judgement.faults.push(format!("{name}: {decided} elements differ although the decision is clear"));
                }
                let differ = got.values.iter().zip(&want).filter(|(got, want)| got != want).count();
                (differ as f64 / want.len().max(1) as f64, limit)
            }
        };
        let (error, limit) = deviation;
        judgement.add(Deviation { tensor: name.clone(), error, limit });
    }
    Ok(judgement)
}

/// The error and limit of the element with the largest ratio of the two.
fn elementwise(got: &[f64], want: &[f64], left_out: &[usize], limit: impl Fn(usize) -> f64) -> (f64, f64) {
    let deviations = got.iter().zip(want).enumerate().map(|(index, (got, want))| {
        // Equal infinities have no deviation; their difference would be NaN.
        let error = if got == want { 0.0 } else { (got - want).abs() };
        (index, Deviation { tensor: String::new(), error, limit: limit(index) })
    });
    let judged = deviations.filter(|(index, _)| !left_out.contains(index));
    let worst = judged.map(|(_, deviation)| deviation).max_by(|a, b| {
        let by_ratio = a.ratio().total_cmp(&b.ratio());
        by_ratio.then(a.error.total_cmp(&b.error)).then(b.limit.total_cmp(&a.limit))
    });
    worst.map_or((0.0, 0.0), |worst| (worst.error, worst.limit))
}

/// The manifest's tolerance: |got − want| ≤ atol + rtol·|want|; plus a `share` of the largest magnitude.
fn single(
    case: &GoldenCase,
    name: &str,
    t: &Tolerance,
    share: f64,
    got: &Computed,
    want: &[f64],
) -> Result<(f64, f64)> {
    let everywhere = t.atol.constant + (t.atol.max_abs + share) * t.max_abs;
    if t.atol.f32_deviation == 0.0 {
        return Ok(elementwise(&got.values, want, &got.undetermined, |index| everywhere + t.rtol * want[index].abs()));
    }
    let f32_run = case.tensor(&format!("{name}@f32"))?;
    if f32_run.shape != got.shape {
        return Err(Error::Graph(format!("`{name}@f32` is {:?}, `{name}` is {:?}", f32_run.shape, got.shape)));
    }
    let f32_run = f32_run.to_f64();
    Ok(elementwise(&got.values, want, &got.undetermined, |index| {
        let deviation = (f32_run[index] - want[index]).abs();
        t.atol.f32_deviation * deviation + everywhere + t.rtol * want[index].abs()
    }))
}

/// What is wrong with a gradient of a network in half precision as a whole.
fn astray(name: &str, got: &Computed, want: &[f64]) -> Option<String> {
    let pairs = got.values.iter().zip(want).enumerate().filter(|(index, _)| !got.undetermined.contains(index));
    let [mut error, mut own, mut other, mut product] = [0.0; 4];
    for (_, (got, want)) in pairs {
        error += (got - want).powi(2);
        own += got * got;
        other += want * want;
        product += got * want;
    }
    let (relative, cosine) = ((error / other).sqrt(), product / (own * other).sqrt());
    // NaN is wrong, but for a gradient that is zero on both sides.
    let right = relative <= HALF_GRADIENT_ERROR && cosine >= HALF_GRADIENT_COSINE || own + other == 0.0;
    let limits = format!("{HALF_GRADIENT_ERROR} and {HALF_GRADIENT_COSINE}");
    (!right).then(|| format!("{name}: relative error {relative:.2e} and cosine {cosine:.5}, with limits of {limits}"))
}

/// The limit of an f64 run.
///
/// The stored value is an f64 result rounded to f32, so the true one lies up to half a unit in the last place of an f32
/// away, 2⁻²⁴·|want|; only what exceeds that counts as an error. Two f64 runs differ by the order of their sums. How
/// much that order matters is known from f32, where a plain run strays by `f32_max_abs_err`; the unit of f64 is 2²⁹
/// times smaller. Of that deviation 2⁻²⁰ is allowed, which leaves room for a factor of 512, and 2⁻⁴⁴ of the largest
/// value for tensors where the f32 run was lucky.
fn double(tolerance: &Tolerance, got: &Computed, want: &[f64]) -> (f64, f64) {
    let noise = tolerance.f32_max_abs_err / f64::from(1 << 20) + tolerance.max_abs / (1u64 << 44) as f64;
    let beyond_rounding = |(got, want): (&f64, &f64)| {
        let rounding = F32_ROUNDING * want.abs();
        // NaN stays NaN.
        if (got - want).abs() <= rounding { 0.0 } else { (got - want).abs() - rounding }
    };
    let errors: Vec<f64> = got.values.iter().zip(want).map(beyond_rounding).collect();
    elementwise(&errors, &vec![0.0; errors.len()], &got.undetermined, |_| noise)
}

/// Number of elements of a label map that differ although a margin map is stored and exceeds what is `close` there.
///
/// The margin of `par_label` is `par_margin`, of `msc_pred` `msc_margin`, of `y_s` `y_s_margin`.
fn decided_mismatches(case: &GoldenCase, name: &str, close: f64, got: &Computed, want: &[f64]) -> Result<usize> {
    let stem = name.strip_suffix("_label").or(name.strip_suffix("_pred")).unwrap_or(name);
    let margin = format!("{stem}_margin");
    if !case.has(&margin) || case.shape(&margin)? != got.shape {
        return Ok(0);
    }
    let margins = case.tensor(&margin)?.to_f64();
    let differ = got.values.iter().zip(want).zip(margins);
    Ok(differ.filter(|((got, want), margin)| got != want && *margin > close).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::verify::golden::GoldenSet;

    /// A set with one case of one tensor of each role.
    fn set() -> GoldenSet {
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"{"cases": [{"name": "a", "file": "a.safetensors", "group": "ops", "tensors": {
            "x": {"shape": [2], "dtype": "f32", "role": "input"},
            "word": {"shape": [2], "dtype": "i32", "role": "exact"},
            "y": {"shape": [2], "dtype": "f32", "role": "output", "atol": 0.125, "rtol": 0.25, "max_abs": 2.0,
                "f32_max_abs_err": 0.0},
            "n": {"shape": [2], "dtype": "f32", "role": "output", "rtol": 0.0, "max_abs": 2.0,
                "atol": "per element: 2 * |NAME@f32 - NAME| + 0.25 * max_abs", "f32_max_abs_err": 0.0},
            "n@f32": {"shape": [2], "dtype": "f32", "role": "info"},
            "p_label": {"shape": [2], "dtype": "i32", "role": "label", "max_mismatch_fraction": 0.5},
            "p_margin": {"shape": [2], "dtype": "f32", "role": "info"}}}]}"#;
        std::fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        let reals = |a: f32, b: f32| [a.to_le_bytes(), b.to_le_bytes()].concat();
        let integers = |a: i32, b: i32| [a.to_le_bytes(), b.to_le_bytes()].concat();
        let stored = [
            ("x", safetensors::Dtype::F32, reals(0.0, 0.0)),
            ("word", safetensors::Dtype::I32, integers(3, 4)),
            ("y", safetensors::Dtype::F32, reals(1.0, 2.0)),
            ("n", safetensors::Dtype::F32, reals(1.0, 2.0)),
            ("n@f32", safetensors::Dtype::F32, reals(1.5, 2.0)),
            ("p_label", safetensors::Dtype::I32, integers(7, 255)),
            ("p_margin", safetensors::Dtype::F32, reals(0.5, 1e-4)),
        ];
        let views = stored
            .iter()
            .map(|(name, dtype, bytes)| (name, safetensors::tensor::TensorView::new(*dtype, vec![2], bytes).unwrap()));
        let bytes = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.path().join("a.safetensors"), bytes).unwrap();
        GoldenSet::open(folder.path()).unwrap()
    }

    fn right() -> Results {
        let mut results = Results::default();
        results.set("word", &[2], vec![3.0, 4.0]);
        results.set("y", &[2], vec![1.0, 2.0]);
        results.set("n", &[2], vec![1.0, 2.0]);
        results.set("p_label", &[2], vec![7.0, 255.0]);
        results
    }

    fn faults(name: &str, values: [f64; 2], rounding: Rounding) -> Vec<String> {
        let mut results = right();
        results.set(name, &[2], values.to_vec());
        judge(&set().cases()[0], &results, rounding).unwrap().faults
    }

    #[test]
    fn right_results_pass_and_each_role_has_its_limit() {
        assert!(faults("y", [1.0, 2.0], Rounding::Double).is_empty());
        assert!(faults("y", [1.37, 2.6], Rounding::Single).is_empty());
        assert_eq!(faults("y", [1.0, 2.7], Rounding::Single), ["y: error 7.00e-1 exceeds its limit 6.25e-1"]);
        assert_eq!(faults("y", [1.0 + 1e-7, 2.0], Rounding::Double).len(), 1);
        assert_eq!(faults("y", [f64::NAN, 2.0], Rounding::Single).len(), 1);
        assert!(faults("n", [2.5, 2.5], Rounding::Single).is_empty());
        assert_eq!(faults("n", [1.0, 2.6], Rounding::Single).len(), 1, "the second element's f32 run was exact");
        assert_eq!(faults("word", [3.0, 5.0], Rounding::Single).len(), 1);
    }

    #[test]
    fn labels_may_differ_where_the_decision_is_close() {
        assert!(faults("p_label", [7.0, 1.0], Rounding::Single).is_empty());
        assert_eq!(faults("p_label", [7.0, 1.0], Rounding::Double).len(), 1);
        let clear = faults("p_label", [1.0, 255.0], Rounding::Single);
        assert_eq!(clear, ["p_label: 1 elements differ although the decision is clear"]);
    }

    #[test]
    fn nothing_is_skipped_silently() {
        let set = set();
        let judgement = judge(&set.cases()[0], &Results::default(), Rounding::Single).unwrap();
        assert_eq!(judgement.faults.len(), 4);
        assert!(judgement.faults.contains(&"y: was not computed".to_owned()));
        let mut results = right();
        results.set("y", &[1, 2], vec![1.0, 2.0]);
        let judgement = judge(&set.cases()[0], &results, Rounding::Single).unwrap();
        assert_eq!(judgement.faults, ["y: has shape [1, 2] instead of [2]"]);
        let mut results = right();
        results.set_but("y", &[2], vec![1.0, 99.0], vec![1]);
        assert!(judge(&set.cases()[0], &results, Rounding::Single).unwrap().faults.is_empty());
    }

    /// Protects: a gradient in half precision that is zero almost everywhere, or has another direction, is wrong.
    #[test]
    fn a_gradient_in_half_precision_is_judged_as_a_whole() {
        let astray = |values: [f64; 4], want: [f64; 4]| {
            let got = Computed { shape: vec![4], values: values.to_vec(), undetermined: Vec::new() };
            astray("g", &got, &want)
        };
        assert_eq!(astray([1.0, 0.11, -0.1, 0.1], [1.01, 0.1, -0.1, 0.1]), None);
        assert_eq!(astray([0.0; 4], [0.0; 4]), None);
        assert!(astray([1.0, 0.0, 0.0, 0.0], [1.0, 0.1, -0.1, 0.1]).is_some());
        assert!(astray([0.0; 4], [1.0, 0.1, -0.1, 0.1]).is_some());
        assert!(astray([f64::NAN, 0.1, -0.1, 0.1], [1.0, 0.1, -0.1, 0.1]).is_some());
        assert!(astray([1e-3; 4], [0.0; 4]).is_some());
    }

    #[test]
    fn the_worst_deviation_is_the_one_nearest_to_its_limit() {
        let mut results = right();
        results.set("y", &[2], vec![1.1, 2.0]);
        results.set("n", &[2], vec![1.0, 2.1]);
        let worst = judge(&set().cases()[0], &results, Rounding::Single).unwrap().worst.unwrap();
        assert_eq!(worst.tensor, "y");
        assert!((worst.error - 0.1).abs() < 1e-12 && worst.limit == 0.375);
    }
}
