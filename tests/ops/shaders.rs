//! Every kernel in every variant that a graph can ask for, without a device: naga's validator with no optional feature,
//! its SPIR-V, Metal and HLSL writers, a round trip through WGSL, and Tint, the compiler of Chromium. This checks Metal and DirectX on a machine
//! that has neither. Three kernels need a feature, and plain products replace them if it is missing: products by
//! cooperative matrices of f32 and of halves, which DirectX and browsers lack, and by subgroups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use naga::back::{hlsl, msl, spv, wgsl};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use tagseg::config::Config;
use tagseg::engine::gpu::Plan;
use tagseg::engine::graph::{DType, Graph, NodeId};
use tagseg::engine::kernel::wgsl::render;
use tagseg::engine::kernel::{HalfMatrices, Launch, Target};

use super::planned::steps;
use super::{Setting, record, table, targets};

/// The kernels that are not for every platform.
const COOPERATIVE: &str = "matmul_coop";
const COOPERATIVE_HALF: &str = "matmul_coop_half";
/// The kernel for subgroups of four or eight.
const SUBGROUP: &str = "matmul_subgroup";

/// The features that a kernel needs.
fn needs(name: &str) -> Capabilities {
    match name {
        COOPERATIVE => Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP,
        COOPERATIVE_HALF => needs(COOPERATIVE) | Capabilities::SHADER_FLOAT16,
        SUBGROUP => Capabilities::SUBGROUP,
        _ => Capabilities::empty(),
    }
}

fn validate(module: &naga::Module, capabilities: Capabilities) -> Result<ModuleInfo, String> {
    Validator::new(ValidationFlags::all(), capabilities).validate(module).map_err(|error| {
        let mut text = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    })
}

/// The names of the platforms that refuse a kernel, with their reasons; without HLSL if that is known to lack the
/// features that the kernel needs.
fn refusals(name: &str, text: &str) -> Vec<String> {
    let mut capabilities = needs(name);
    // The snippet common/half_builtin.wgsl, for devices that have its functions.
    capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, text.contains("return unpack2x16float(x);"));
    let cooperative = capabilities.contains(Capabilities::COOPERATIVE_MATRIX);
    let module = match naga::front::wgsl::parse_str(text) {
        Ok(module) => module,
        Err(error) => return vec![error.emit_to_string(text)],
    };
    let info = match validate(&module, capabilities) {
        Ok(info) => info,
        Err(error) => return vec![format!("validator: {error}")],
    };
    let mut refusals = Vec::new();
    let mut note = |platform: &str, error: Option<String>| {
        refusals.extend(error.map(|error| format!("{platform}: {error}")));
    };
    note("spirv", spv::write_vec(&module, &info, &spv::Options::default(), None).err().map(|e| e.to_string()));
    // The version of Metal's language that wgpu asks of devices for the feature.
    let lang_version = if cooperative { (2, 3) } else { msl::Options::default().lang_version };
    let options = msl::Options { lang_version, ..msl::Options::default() };
    let metal = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default());
    note("metal", metal.err().map(|e| e.to_string()));
    if hlsl::supported_capabilities().contains(capabilities) {
        let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions::default());
        let mut direct = String::new();
        let written = hlsl::Writer::new(&mut direct, &options, &pipeline).write(&module, &info, None);
        note("hlsl", written.err().map(|e| e.to_string()));
    } else {
        assert!(cooperative, "{name} is not for DirectX");
    }
    match wgsl::write_string(&module, &info, wgsl::WriterFlags::empty()) {
        Ok(again) => {
            let error = naga::front::wgsl::parse_str(&again).map_err(|error| error.emit_to_string(&again));
            note("wgsl", error.and_then(|module| validate(&module, capabilities)).err());
        }
        Err(error) => note("wgsl", Some(error.to_string())),
    }
    refusals
}

/// Every launch of a graph with every choice of kernels, within the limits of plain WebGPU. If a device lacks the
/// features of a kernel, it is not launched.
fn launches(graph: &Graph, outputs: &[NodeId]) -> Vec<Launch> {
    let of = |target| Plan::new(graph, outputs, target).steps.into_iter().flat_map(|step| step.launches.list);
    let all = targets().into_iter().flat_map(|target| match target.subgroup_products {
        true => vec![target, Target { subgroup: 4, ..target }, Target { subgroup_products: false, ..target }],
        false => vec![target],
    });
    let all = all.flat_map(|target| match target.half_products {
        true => vec![target, Target { half_matrices: HalfMatrices { side: 8, subgroups: 8 }, ..target }],
        false => vec![target],
    });
    let launches = all.flat_map(|target| of(target).map(move |launch| (target, launch)));
    let launches: Vec<_> = launches.collect();
    for (target, launch) in &launches {
        assert!(target.cooperative_products || launch.shader.name != COOPERATIVE, "{launch:?}");
        assert!(target.half_products || launch.shader.name != COOPERATIVE_HALF, "{launch:?}");
        assert!(target.subgroup_products || launch.shader.name != SUBGROUP, "{launch:?}");
        assert!(launch.bindings.len() <= 8, "{}: WebGPU guarantees eight storage buffers", launch.shader.name);
        assert!(launch.workgroups.iter().all(|&count| (1..=65_535).contains(&count)), "{launch:?}");
    }
    launches.into_iter().map(|(_, launch)| launch).collect()
}

/// The kernel and variant of a launch.
fn variant(launch: &Launch) -> (&'static str, Vec<(&'static str, String)>) {
    (launch.shader.name, launch.defines.clone())
}

/// The same launch with all slots that allow it stored in half precision.
fn in_halves(launch: &Launch) -> Launch {
    let numbered = (1..).zip(&launch.bindings).filter(|(_, slot)| launch.fours.contains(slot));
    Launch { half: numbered.map(|(number, _)| number).collect(), ..launch.clone() }
}

/// The launches of the op table, forward and backward.
fn of_the_table() -> Vec<Launch> {
    let mut all = Vec::new();
    for case in table::cases() {
        let settings = [Setting::Alone, Setting::InHalf];
        for (size, setting) in case.sizes.iter().flat_map(|size| settings.map(|setting| (size, setting))) {
            let recorded = record(&case, size, setting).unwrap();
            let mut outputs = vec![recorded.output.id()];
            if case.differentiable {
                let gradients = || recorded.graph.gradients(&recorded.objective, &recorded.differentiated).unwrap();
                let gradients = recorded.graph.stored(setting.storage(), gradients);
                outputs.extend(gradients.iter().map(|gradient| gradient.id()));
            }
            all.extend(launches(&recorded.graph, &outputs));
        }
    }
    all
}

/// The launches of products of every layout and size class: aligned or not, few or many results, short or long sums.
fn of_products() -> Vec<Launch> {
    let mut all = Vec::new();
    let sides = [3, 4, 5, 8, 1022, 1024];
    for (m, n, k) in
        sides.into_iter().flat_map(|m| sides.map(|n| (m, n))).flat_map(|(m, n)| [5, 8, 4096].map(|k| (m, n, k)))
    {
        let graph = Graph::new();
        let input = |name: &str, shape: &[usize]| graph.input(name, shape, DType::F32);
        let (a, b) = (input("a", &[m, k]), input("b", &[k, n]));
        let (at, bt, bias) = (input("at", &[k, m]), input("bt", &[n, k]), input("bias", &[n]));
        let products = [a.matmul(&b), a.matmul_nt(&bt), at.matmul_tn(&b), a.linear(&bt, Some(&bias))];
        all.extend(launches(&graph, &products.map(|product| product.unwrap().id())));
    }
    all
}

/// The launches of whole training steps, in every phase: of every preset, of small ones, in half precision, and with a
/// convolutional encoder; every kernel once.
static STEPS: LazyLock<Vec<Launch>> = LazyLock::new(|| {
    const OTHERS: &[(&str, &[&str])] = &[
        ("nano", &["train.crop=64"]),
        ("voc", &["train.crop=128", "batch.global=2", "loss.replica_size=2"]),
        ("nano", &["train.precision=mixed"]),
        ("voc", &["train.precision=mixed"]),
        ("nano", &["model.backbone=efficientnet_lite0", "lambda=[0.7, 0.1, 0.0]"]),
    ];
    let presets = Config::preset_names().map(|preset| (preset, &[][..]));
    let graphs = presets.chain(OTHERS.iter().copied()).flat_map(|(preset, settings)| steps(preset, settings));
    // Collecting all launches at once would take gigabytes.
    let mut kernels = BTreeMap::new();
    for launch in graphs.flat_map(|graph| launches(&graph, &[])) {
        kernels.entry(render(&launch).unwrap()).or_insert(launch);
    }
    kernels.into_values().collect()
});

/// The texts of all variants, also with every slot in half precision that allows it, with the names of their kernels.
static KERNELS: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let (table, products) = (of_the_table(), of_products());
    let mut kernels = BTreeMap::new();
    for launch in table.iter().chain(&products).chain(STEPS.iter()) {
        kernels.insert(render(launch).unwrap(), launch.shader.name);
        // The declaration of a launch matches its kernel, else one of the two texts is invalid.
        kernels.insert(render(&in_halves(launch)).unwrap(), launch.shader.name);
    }
    kernels
});

/// Protects: Metal, DirectX and the browser, and the limits of plain WebGPU, for every kernel in every variant, also
/// with every slot that may be stored in half precision, except DirectX and the browser if cooperative matrices are
/// chosen.
#[test]
fn every_kernel_passes_every_writer() {
    let kernels = &*KERNELS;
    let names: BTreeSet<_> = kernels.values().copied().collect();
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(names.contains(name), "no graph here uses {name}");
    }

    let mut failures = Vec::new();
    for (text, name) in kernels {
        failures.extend(refusals(name, text).into_iter().map(|reason| format!("{name}: {reason}")));
    }
    println!("{} variants of {} kernels through validator, SPIR-V, Metal, HLSL and WGSL", kernels.len(), names.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Protects: browsers. Tint, the compiler of Chromium, accepts every variant that needs no feature; it refuses some of what
/// naga takes, like `a >> b & c`. It needs no driver. Left out where it is missing because there is no npm, from which
/// scripts/compilers.sh gets it: `make test-browser` runs the whole browser.
#[test]
fn tint_accepts_every_kernel() {
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/target/compilers/node_modules/webgpu/index.js");
    if !Path::new(package).exists() {
        println!("left out: scripts/compilers.sh gets Tint where there is npm");
        return;
    }
    let wrong = "@compute @workgroup_size(1) fn main() { let a = 5u >> 1u & 1u; }".to_owned();
    let plain = KERNELS.iter().filter(|(_, name)| needs(name).is_empty());
    let all: Vec<_> = std::iter::once((&wrong, &"")).chain(plain).collect();
    let texts: Vec<_> = all.iter().map(|(text, _)| text).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.json");
    fs::write(&file, serde_json::to_vec(&texts).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ops/tint.mjs");
    let run = Command::new("node").args([script, package]).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let said: Vec<Option<String>> = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(said.len(), texts.len());
    assert!(said[0].is_some(), "Tint takes {wrong}");
    let named = all.iter().zip(&said).skip(1);
    let refused: Vec<_> = named.filter_map(|((_, name), said)| Some(format!("{name}: {}", said.as_ref()?))).collect();
    println!("{} variants through Tint", texts.len() - 1);
    assert!(refused.is_empty(), "Tint says:\n{}", refused.join("\n"));
}

/// Protects: every kernel that training runs is compared with its reference. Every variant that the planned step of a
/// preset uses, with any choice of kernels, is also used by a row of the table. Chains of element-wise functions are
/// new texts in every graph; updates of states are compared in `updates.rs`.
#[test]
fn every_variant_of_a_step_has_a_row() {
    const ELSEWHERE: [&str; 5] = ["elementwise", "adamw", "assign", "flag_nonfinite", "write_row"];
    let covered: BTreeSet<_> = of_the_table().iter().map(variant).collect();
    let steps = STEPS.iter().filter(|launch| !ELSEWHERE.contains(&launch.shader.name));
    let wanted: BTreeSet<_> = steps.map(variant).collect();
    let missing: Vec<_> = wanted.difference(&covered).map(|variant| format!("{variant:?}")).collect();
    println!("{} variants in planned steps, {} in the table", wanted.len(), covered.len());
    assert!(missing.is_empty(), "no row of the table runs these:\n{}", missing.join("\n"));
}
