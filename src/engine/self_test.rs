//! Self-tests of the fast kernel variants: on every adapter and driver, each family computes small graphs once,
//! and is not used if it disagrees with the interpreter. Results are stored in a folder, if one is given.
//!
//! ```
//! use tagseg::Session;
//! use tagseg::engine::self_test;
//!
//! let session = Session::open("reference")?;
//! let session = self_test::tested(session, None, |notice| eprintln!("{notice}"))?;
//! # Ok::<(), tagseg::Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::engine::gpu::{Device, Plan};
use crate::engine::graph::{DType, Graph, Kind, NodeId, Storage, Tensor};
use crate::engine::kernel::{Kernels, Launch, Registers, Target, wgsl};
use crate::engine::ops::attention::Heads;
use crate::engine::reference::random::noise;
use crate::engine::reference::square_error;
use crate::engine::session::Session;
use crate::error::Result;

/// A family of fast kernel variants, with the computation that tests them.
pub struct Family {
    /// Its name in messages and in the stored result.
    pub name: &'static str,
    /// The field of a target that enables it.
    pub switch: fn(&mut Target) -> &mut bool,
    /// The choices that use it.
    pub kernels: Kernels,
    /// Records values whose kernels are of this family, at sizes that are not multiples of a workgroup's tile. All inputs
    /// are 0.
    pub record: fn(&Graph) -> Result<Vec<Tensor>>,
}

impl Family {
    /// The target of its test: loops are unrolled as the device's table says.
    fn tested(&self, registers: Registers) -> Target {
        Kernels { registers, ..self.kernels }.into()
    }
}

/// All families.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "tiled products",
        switch: |target| &mut target.tiled_products,
        kernels: Kernels::SHARED,
        record: products,
    },
    Family { name: "shared rows", switch: |target| &mut target.shared_rows, kernels: Kernels::SHARED, record: rows },
    Family {
        name: "tiled attention",
        switch: |target| &mut target.tiled_attention,
        kernels: Kernels::SHARED,
        record: attention,
    },
    Family {
        name: "cooperative matrices",
        switch: |target| &mut target.cooperative_products,
        kernels: Kernels::COOPERATIVE,
        record: cooperative_products,
    },
    Family {
        name: "cooperative matrices of halves",
        switch: |target| &mut target.half_products,
        kernels: Kernels::COOPERATIVE,
        record: |graph| graph.stored(Storage::Half, || products_of_halves(graph)),
    },
    Family {
        name: "conversions of halves",
        switch: |target| &mut target.builtin_halves,
        kernels: Kernels::SHARED,
        record: |graph| graph.stored(Storage::Half, || halves(graph)),
    },
    Family {
        name: "products by subgroups",
        switch: |target| &mut target.subgroup_products,
        kernels: Kernels::SUBGROUPS,
        record: subgroup_products,
    },
];

/// Largest squared error relative to the sum of squares, as in the tests of single ops.
const LIMIT: f64 = 1e-10;

/// Products of operands in every layout, enough of them to keep a graphics card busy, and a convolution with its
/// gradients.
fn products(graph: &Graph) -> Result<Vec<Tensor>> {
    let matrices = |rows, columns| constant(graph, &[256, rows, columns]);
    let mut outputs = convolution(graph, [4, 13, 11, 48], 60, 1)?;
    // Rows of whole fours of patches, also of windows side by side.
    outputs.extend(convolution(graph, [4, 13, 12, 48], 60, 1)?);
    outputs.extend(convolution(graph, [2, 36, 36, 16], 60, 3)?);
    outputs.extend([
        matrices(61, 19).matmul(&matrices(19, 59))?,
        matrices(60, 20).matmul_nt(&matrices(52, 20))?,
        matrices(20, 52).matmul_tn(&matrices(20, 60))?,
    ]);
    Ok(outputs)
}

/// A 3×3 convolution of x \[B, H, W, C\], whose products load patches, and its gradients, padded if windows overlap.
fn convolution(graph: &Graph, x: [usize; 4], outputs: usize, stride: usize) -> Result<Vec<Tensor>> {
    let (x, weight) = (constant(graph, &x), constant(graph, &[outputs, x[3], 3, 3]));
    let y = x.conv2d(&weight, None, stride, usize::from(stride < 3))?;
    let objective = y.mul(&constant(graph, y.shape()))?.sum_all()?;
    let mut values = graph.gradients(&objective, &[x, weight])?;
    values.push(y);
    Ok(values)
}

/// Products of operands in every layout, and all of them into results by rows and by columns, in whole matrices of 8×8.
fn cooperative_products(graph: &Graph) -> Result<Vec<Tensor>> {
    let [x, weight, bias] = [&[3, 56, 88][..], &[64, 88], &[64]].map(|shape| constant(graph, shape));
    let y = x.linear(&weight, Some(&bias))?;
    let objective = y.mul(&constant(graph, y.shape()))?.sum_all()?;
    let mut outputs = graph.gradients(&objective, &[x, weight])?;
    outputs.push(y);
    // A sum so long that it is split.
    outputs.push(constant(graph, &[1, 56, 2056]).matmul(&constant(graph, &[1, 2056, 56]))?);
    Ok(outputs)
}

/// Products of halves in every layout, with results in f32 and in halves, of sides that leave some squares empty. The
/// operands are multiples of 1/16, so that the sums are exact and a half is never rounded in two ways.
fn products_of_halves(graph: &Graph) -> Result<Vec<Tensor>> {
    // What does not depend on an input is never stored in half precision.
    let zero = graph.input("zero", [], DType::F32);
    let exact = |shape: &[usize]| {
        let values = noise(graph.len() as u64, shape.iter().product());
        let values: Vec<_> = values.into_iter().map(|value| f64::from((16.0 * value).round() / 16.0)).collect();
        graph.constant(&values, shape)
    };
    let half = |shape: &[usize]| exact(shape).add(&zero)?.pad(0, 0, shape[0]);
    let bias = exact(&[176]);
    let y = half(&[3, 80, 112])?.linear(&half(&[176, 112])?, Some(&bias))?;
    let transposed = half(&[240, 176])?.matmul_tn(&half(&[240, 144])?)?;
    let long = half(&[1, 48, 2064])?.matmul(&half(&[1, 2064, 48])?)?;
    Ok(vec![y.pad(0, 0, 3)?, transposed, long])
}

/// Numbers that are stored in half precision: all finite halves, some numbers between neighbours and half-way, and some
/// beyond the largest. Those below 2⁻¹⁴, which some devices read as 0, are apart from those below 1 and from the others.
fn halves(graph: &Graph) -> Result<Vec<Tensor>> {
    let zero = graph.input("zero", [], DType::F32);
    // What does not depend on an input is never stored in half precision, nor is an output.
    let stored = |values: &[f64]| {
        let rows = values.len() / 4;
        graph.constant(values, [rows, 4]).add(&zero)?.pad(0, 0, rows)
    };
    let mut outputs = Vec::new();
    for exponents in [0..1, 1..15, 15..31] {
        let mut values = Vec::new();
        for exponent in exponents {
            let (first, unit) = if exponent == 0 { (0, -24) } else { (1024, exponent - 25) };
            for size in first..first + 1024 {
                let parts: &[f64] = if size % 8 < 2 { &[0.0, 0.25, 0.5, 0.75] } else { &[0.0] };
                let sizes = parts.iter().map(|part| (f64::from(size) + part) * f64::from(unit).exp2());
                values.extend(sizes.flat_map(|size| [size, -size]));
            }
        }
        outputs.push(stored(&values)?.pad(0, 0, values.len() / 4)?);
    }
    // The largest half, numbers that become it, and infinities, which stay what they are.
    let large = stored(&[65504.0, 65520.0, 1e38, -1e38])?;
    let signs = graph.constant(&[1.0, -1.0, 1.0, -1.0], [4]);
    let endless = stored(&[1000.0; 4])?.exp()?.mul(&signs)?.pad(0, 0, 1)?;
    outputs.push(large.pad(0, 0, 1)?);
    outputs.push(endless.greater(&graph.scalar(65504.0))?);
    outputs.push(graph.scalar(-65504.0).greater(&endless)?);
    Ok(outputs)
}

/// A product that fills wide tiles, and its gradients, which fill narrow ones, of operands that are loaded as `vec4`;
/// one of odd sides; a convolution with its gradients.
fn subgroup_products(graph: &Graph) -> Result<Vec<Tensor>> {
    let [x, weight, bias] = [&[150, 44][..], &[124, 44], &[124]].map(|shape| constant(graph, shape));
    let y = x.linear(&weight, Some(&bias))?;
    let objective = y.mul(&constant(graph, y.shape()))?.sum_all()?;
    let mut outputs = graph.gradients(&objective, &[x, weight])?;
    outputs.extend([y, constant(graph, &[1, 37, 19]).matmul(&constant(graph, &[1, 19, 41]))?]);
    outputs.extend(convolution(graph, [1, 7, 6, 8], 12, 1)?);
    Ok(outputs)
}

/// Softmax, layer norm and their gradients, on rows with scalar and `vec4` loads.
fn rows(graph: &Graph) -> Result<Vec<Tensor>> {
    let mut outputs = Vec::new();
    for width in [37, 68] {
        let [x, weight] = [(); 2].map(|()| constant(graph, &[45, width]));
        let [gamma, beta] = [(); 2].map(|()| constant(graph, &[width]));
        for y in [x.softmax_scaled(2.0)?, x.layer_norm(&gamma, &beta, 1e-5)?] {
            let objective = y.mul(&weight)?.sum_all()?;
            outputs.extend(graph.gradients(&objective, std::slice::from_ref(&x))?);
            outputs.push(y);
        }
    }
    Ok(outputs)
}

/// Attention of heads of 16, 44, 48 and 64 channels, and its gradients, with scores whose largest moves from tile to tile.
fn attention(graph: &Graph) -> Result<Vec<Tensor>> {
    let mut outputs = Vec::new();
    for (width, queries, keys) in [(32, 45, 71), (88, 45, 71), (96, 45, 71), (128, 45, 71), (128, 44, 72)] {
        let q = constant(graph, &[2, queries, width]);
        let [k, v] = [(); 2].map(|()| constant(graph, &[2, keys, width]));
        let y = q.attention(&k, &v, Heads { count: 2, scale: 2.0 })?;
        let objective = y.mul(&constant(graph, y.shape()))?.sum_all()?;
        outputs.extend(graph.gradients(&objective, &[q, k, v])?);
        outputs.push(y);
    }
    Ok(outputs)
}

/// Values between −1 and 1 without a pattern, different in every constant of a graph.
fn constant(graph: &Graph, shape: &[usize]) -> Tensor {
    let values = noise(graph.len() as u64, shape.iter().product());
    graph.constant(&values.into_iter().map(f64::from).collect::<Vec<_>>(), shape)
}

/// Results of the self-test of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Every family's name and result.
    pub families: BTreeMap<&'static str, Standing>,
    /// When the self-test ran, if its result could be stored.
    #[serde(skip)]
    pub since: Option<SystemTime>,
    /// Notices for the user: a line for each family that failed just now, or was requested but is unavailable.
    #[serde(skip)]
    pub notices: Vec<String>,
    /// The target that kernels are to be chosen for.
    #[serde(skip)]
    pub target: Target,
}

/// The result of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// It computes correctly.
    #[serde(rename = "chosen")]
    Chosen,
    /// It is for another class of device.
    #[serde(rename = "not needed here")]
    NotNeeded,
    /// The device, with the requested limits, lacks the features that it needs.
    #[serde(rename = "not on this device")]
    Missing,
    /// It failed its self-test.
    #[serde(rename = "refused")]
    Refused,
}

/// A stored result.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Adapter, driver, program and kernels.
    of: String,
    passed: BTreeMap<String, bool>,
}

/// The session without the fast kernels that its device computes wrongly, according to a self-test or to the result of
/// an earlier one in `folder`. `tell` receives notices for the user, one line each. The interpreter needs no test.
///
/// # Errors
/// If a family of kernels cannot be recorded, which is a bug.
#[cfg(not(target_arch = "wasm32"))]
pub fn tested(session: Session, folder: Option<&Path>, tell: impl FnMut(&str)) -> Result<Session> {
    pollster::block_on(tested_async(session, folder, tell))
}

/// As [`tested`], without blocking.
///
/// # Errors
/// As [`tested`].
pub async fn tested_async(session: Session, folder: Option<&Path>, mut tell: impl FnMut(&str)) -> Result<Session> {
    let Some(device) = session.device() else { return Ok(session) };
    let verdict = verdict(FAMILIES, device, folder).await?;
    verdict.notices.iter().for_each(|notice| tell(notice));
    Ok(session.aimed_at(verdict.target))
}

/// The results of `families` on a device: read from `folder`, or from a self-test whose result is
/// then stored there. A folder that cannot be used is not an error: then every call runs the test.
///
/// A family that cannot run at all is refused too, but this is not stored: the device may just have been short of
/// memory.
///
/// # Errors
/// If a family cannot be recorded, which is a bug.
pub async fn verdict(families: &[Family], device: &Device, folder: Option<&Path>) -> Result<Verdict> {
    let (choice, mut target) = (device.choice(), device.target());
    let registers = target.kernels.registers;
    let mut verdict = Verdict { families: BTreeMap::new(), since: None, notices: Vec::new(), target };
    let (needed, others): (Vec<_>, Vec<_>) = families.iter().partition(|family| *(family.switch)(&mut target));
    let mut asked = Target::from(target.kernels);
    for family in others {
        let missing = *(family.switch)(&mut asked);
        // Without a user's table, nothing was requested explicitly.
        if missing && choice.kernels.is_some() {
            verdict.notices.push(format!(
                "{} does not support {}, using plain kernels instead; `tagseg devices --kernels FILE` shows why",
                device.driver(),
                family.name
            ));
        }
        verdict.families.insert(family.name, if missing { Standing::Missing } else { Standing::NotNeeded });
    }
    if needed.is_empty() {
        return Ok(verdict);
    }
    let of = format!(
        "{}, tagseg {}, kernels {:08x}",
        device.driver(),
        env!("CARGO_PKG_VERSION"),
        kernels(&needed, registers)?
    );
    let file = folder.map(|folder| folder.join(format!("self-test-{:08x}.json", crc32fast::hash(of.as_bytes()))));
    let known = file.as_deref().and_then(|file| recall(file, &of));
    let known = known.filter(|known| needed.iter().all(|family| known.contains_key(family.name)));
    let (passed, kept) = match known {
        Some(passed) => (passed, true),
        None => {
            let (passed, ran) = test(&needed, device, &mut verdict.notices).await;
            let kept = ran && file.as_deref().is_some_and(|file| store(file, &of, &passed).is_ok());
            (passed, kept)
        }
    };
    for family in needed {
        let right = passed[family.name];
        *(family.switch)(&mut verdict.target) = right;
        verdict.families.insert(family.name, if right { Standing::Chosen } else { Standing::Refused });
    }
    verdict.since = file.filter(|_| kept).and_then(|file| fs::metadata(file).and_then(|file| file.modified()).ok());
    Ok(verdict)
}

/// Tests families, with a notice of each that fails; and whether all of them could run.
async fn test(families: &[&Family], device: &Device, notices: &mut Vec<String>) -> (BTreeMap<String, bool>, bool) {
    let (mut passed, mut ran) = (BTreeMap::new(), true);
    for family in families {
        // On a separate device: if it is lost, others are not affected.
        let error = error(family, device).await;
        let right = error.as_ref().is_ok_and(|&error| error <= LIMIT);
        passed.insert(family.name.to_owned(), right);
        ran &= error.is_ok();
        if !right {
            notices.push(notice(device, family, error));
        }
    }
    (passed, ran)
}

/// The notice for a family that failed.
fn notice(device: &Device, family: &Family, error: Result<f64>) -> String {
    let why = error.map_or_else(|error| error.to_string(), |error| format!("squared error {error:.0e}"));
    format!(
        "{}: {} failed their self-test ({}), using slower kernels instead; update the driver, and if that does not \
         help, report it with the output of `tagseg devices`",
        device.driver(),
        family.name,
        why.lines().next().unwrap_or_default()
    )
}

/// Squared error of a family's values over their sum of squares, added over all of them.
async fn error(family: &Family, device: &Device) -> Result<f64> {
    let graph = Graph::new();
    let outputs = (family.record)(&graph)?;
    let outputs: Vec<_> = outputs.iter().collect();
    let compile = |session: Session| session.compile(&graph, &outputs);
    let target = family.tested(device.target().kernels.registers);
    let mut device = compile(Session::on(Device::open(device.choice()).await?.aimed_at(target)))?;
    let mut twin = compile(Session::reference())?;
    let nodes = graph.nodes().into_iter().enumerate();
    for (index, node) in nodes.filter(|(_, node)| matches!(node.kind, Kind::Input(_))) {
        let input = graph.tensor(NodeId(index));
        let zeros = vec![0.0; node.ty.shape.len()];
        device.write(&input, &zeros)?;
        twin.write(&input, &zeros)?;
    }
    device.run()?;
    twin.run()?;
    let mut error = 0.0;
    for output in outputs {
        error += square_error(&device.read_async(output).await?, &twin.read_async(output).await?);
    }
    Ok(error)
}

/// A checksum of the text of all kernels that a self-test of `families` runs on a device with so many registers.
fn kernels(families: &[&Family], registers: Registers) -> Result<u32> {
    let mut texts = crc32fast::Hasher::new();
    for family in families {
        for launch in launches(family, registers)? {
            texts.update(wgsl::render(&launch)?.as_bytes());
        }
    }
    Ok(texts.finalize())
}

/// What the self-test of a family runs on a device with so many registers.
fn launches(family: &Family, registers: Registers) -> Result<Vec<Launch>> {
    let graph = Graph::new();
    let outputs: Vec<_> = (family.record)(&graph)?.iter().map(Tensor::id).collect();
    let steps = Plan::new(&graph, &outputs, family.tested(registers)).steps;
    Ok(steps.into_iter().flat_map(|step| step.launches.list).collect())
}

/// The result for these kernels in a file, if it is valid.
fn recall(file: &Path, of: &str) -> Option<BTreeMap<String, bool>> {
    let stored: Stored = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (stored.of == of).then_some(stored.passed)
}

/// Writes a temporary file and renames it, so that no partial file is ever read.
fn store(file: &Path, of: &str, passed: &BTreeMap<String, bool>) -> io::Result<()> {
    let stored = Stored { of: of.to_owned(), passed: passed.clone() };
    let beside = file.with_extension(std::process::id().to_string());
    fs::create_dir_all(file.parent().unwrap_or(Path::new("")))?;
    fs::write(&beside, serde_json::to_vec_pretty(&stored)?)?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: the self-test runs the kernels with workgroup memory that training steps use, also those that are unrolled
    /// for cards with many registers, and not only their neighbours for odd sizes.
    #[test]
    fn what_training_uses_is_tested() {
        let names = |name: &str, registers| {
            let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
            let launches = launches(family, registers).unwrap();
            let name = |launch: &Launch| {
                let flags =
                    launch.defines.iter().map(|(name, value)| format!("{name}={}", value.trim_end_matches('u')));
                format!("{} {}", launch.shader.name, flags.collect::<Vec<_>>().join(" "))
            };
            launches.iter().map(name).collect::<Vec<_>>()
        };
        let has = |names: &[String], flags: &[&str]| {
            let found = names.iter().any(|name| flags.iter().all(|flag| name.split(' ').any(|own| own == *flag)));
            assert!(found, "{flags:?} is not among {names:#?}");
        };
        for (registers, unrolled) in [(Registers::Few, None), (Registers::Many, Some("UNROLLED=1"))] {
            let attention = names("tiled attention", registers);
            for kernel in [&["attention_shared", "OUTPUT=1"][..], &["attention_gradient_shared", "SLOPE=1", "KEYS=1"]] {
                let flags = [kernel, &["WIDE=1", "WHOLE=1", "CHUNKS=16"], unrolled.as_slice()].concat();
                has(&attention, &flags);
            }
            let products = names("tiled products", registers);
            for patches in ["A_PATCHES=1", "B_PATCHES=1", "OUT_PATCHES=1"] {
                has(&products, &[&["matmul_shared", patches, "FOURS=1"], unrolled.as_slice()].concat());
            }
        }
    }
}
