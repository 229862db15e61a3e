//! The self-test, which refuses kernels that a driver computes wrongly, on a software device with the kernels of
//! graphics cards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tagseg::engine::gpu::{Device, DeviceChoice, Plan, adapters};
use tagseg::engine::graph::{DType, Graph, Op, Storage, Tensor, TensorType};
use tagseg::engine::kernel::{
    Class, Conversion, KernelTable, Kernels, Launch, LaunchContext, Launches, Shader, Slot, Target,
};
use tagseg::engine::reference::Array;
use tagseg::engine::reference::random::noise;
use tagseg::engine::self_test::{FAMILIES, Family, Standing, Verdict, verdict};
use tagseg::run::device;
use tagseg::{Result, Session};

/// A choice with the limits of the environment.
fn choice(choice: DeviceChoice) -> DeviceChoice {
    device::with_environment(choice).unwrap()
}

fn like_a_card() -> DeviceChoice {
    choice(DeviceChoice::default().class(Class::Gpu))
}

/// The target of graphics cards' kernels on this device, whose subgroups may have other sizes.
fn graphics() -> Target {
    pollster::block_on(Device::open(&like_a_card())).unwrap().target()
}

fn judge(families: &[Family], folder: Option<&Path>) -> Verdict {
    let device = pollster::block_on(Device::open(&like_a_card())).unwrap();
    pollster::block_on(verdict(families, &device, folder)).unwrap()
}

/// The name of the family that a correct driver may fail: WGSL lets it round halves to either neighbour.
const CONVERSIONS: &str = "conversions of halves";

/// The results of the families that are tested: not those for another class of device, or for features that it lacks, nor
/// of conversions of halves.
fn standings(verdict: &Verdict) -> Vec<Standing> {
    let tested = |standing: &Standing| ![Standing::NotNeeded, Standing::Missing].contains(standing);
    let others = verdict.families.iter().filter(|(name, _)| **name != CONVERSIONS);
    others.map(|(_, standing)| *standing).filter(tested).collect()
}

/// The results of correct kernels.
fn all_chosen() -> Vec<Standing> {
    vec![Standing::Chosen; 3 + usize::from(graphics().half_products)]
}

/// The target of graphics cards' kernels; it converts halves by integers if the driver rounds them differently.
fn right(verdict: &Verdict) -> Target {
    let exact = verdict.families[CONVERSIONS] == Standing::Chosen;
    println!("conversions of halves: {:?}", verdict.families[CONVERSIONS]);
    Target { builtin_halves: exact, ..graphics() }
}

/// The only file of a folder.
fn stored(folder: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

/// Protects: correct kernels pass, and are tested once: the stored result is used until it is damaged, and nothing else
/// in the folder is needed.
#[test]
fn correct_kernels_are_tested_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cache");
    let first = judge(FAMILIES, Some(&folder));
    assert_eq!((standings(&first), first.target), (all_chosen(), right(&first)));
    assert!(first.since.is_some());
    let file = stored(&folder);
    let whole = fs::read_to_string(&file).unwrap();

    assert_eq!(judge(FAMILIES, Some(&folder)), first, "the file was written again");

    // This is only found by reading the file without running the test.
    fs::write(&file, whole.replace("\"shared rows\": true", "\"shared rows\": false")).unwrap();
    let refused = judge(FAMILIES, Some(&folder));
    assert_eq!(refused.families["shared rows"], Standing::Refused);
    assert_eq!(refused.target, Target { shared_rows: false, ..right(&first) });

    // The file of another driver, half a file, one with a single family, and a folder in place of the file.
    let (other, one) = (whole.replace("tagseg", "tagsag"), whole.replace("shared rows", "rows"));
    for damaged in [other.as_str(), &whole[..whole.len() / 2], &one, ""] {
        fs::write(&file, damaged.replace("true", "false")).unwrap();
        assert_eq!(standings(&judge(FAMILIES, Some(&folder))), all_chosen(), "{damaged}");
        assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(standings(&judge(FAMILIES, Some(&folder))), all_chosen());
}

/// Protects: no folder, or one that cannot be made, only costs time.
#[test]
fn an_unusable_folder_is_not_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for folder in [None, Some(file.path().join("cache"))] {
        let verdict = judge(FAMILIES, folder.as_deref());
        assert_eq!((standings(&verdict), verdict.since), (all_chosen(), None));
    }
}

/// Protects: a software device only needs products by subgroups, which are used if it has subgroups and they are
/// correct; results are correct either way, and there is no notice about features that were not requested.
#[test]
fn software_needs_subgroups() {
    let choice = choice(DeviceChoice::default().class(Class::Cpu));
    let device = pollster::block_on(Device::open(&choice)).unwrap();
    let verdict = pollster::block_on(verdict(FAMILIES, &device, None)).unwrap();
    let there = device.target().subgroup_products;
    println!("{}: subgroups of {}", device.driver(), if there { device.target().subgroup } else { 0 });
    assert_eq!(verdict.families["products by subgroups"], if there { Standing::Chosen } else { Standing::Missing });
    let others = verdict.families.iter().filter(|(name, _)| **name != "products by subgroups");
    assert_eq!(others.map(|(_, standing)| *standing).collect::<Vec<_>>(), [Standing::NotNeeded; 6]);
    assert_eq!(verdict.target, device.target());

    let graph = Graph::new();
    let [x, y] = [2.0, 3.0].map(|value| graph.constant(&[value; 128 * 128], [1, 128, 128]));
    let product = x.matmul(&y).unwrap();
    let session = device::open(choice).unwrap();
    let plan = session.plan(&graph, &[&product]).unwrap().unwrap();
    let shaders: Vec<_> =
        plan.steps.iter().flat_map(|step| &step.launches.list).map(|launch| launch.shader.name).collect();
    assert_eq!(shaders.contains(&"matmul_subgroup"), there, "{shaders:?}");
    let mut program = session.compile(&graph, &[&product]).unwrap();
    program.run().unwrap();
    assert_eq!(program.read(&product).unwrap(), [768.0; 128 * 128]);
}

/// Protects: a run can be repeated without subgroups, with other limits or on another device, bit-identically.
#[test]
fn subgroups_are_bit_identical() {
    let bits = |target: Target| -> Vec<Vec<f64>> {
        let graph = Graph::new();
        let constant = |shape: &[usize]| {
            let values = noise(graph.len() as u64, shape.iter().product());
            graph.constant(&values.into_iter().map(f64::from).collect::<Vec<_>>(), shape)
        };
        // Wide tiles, narrow ones, a sum that is split, patches.
        let [x, weight, bias] = [&[150, 44][..], &[124, 44], &[124]].map(constant);
        let [image, taps] = [[2, 13, 11, 8], [12, 8, 3, 3]].map(|shape| constant(&shape));
        let mut outputs = vec![
            x.linear(&weight, Some(&bias)).unwrap(),
            constant(&[1, 56, 2056]).matmul(&constant(&[1, 2056, 56])).unwrap(),
            image.conv2d(&taps, None, 1, 1).unwrap(),
        ];
        let sums: Vec<_> = outputs.iter().map(|y| y.mul(y).unwrap().sum_all().unwrap()).collect();
        let objective = sums[0].add(&sums[1]).unwrap().add(&sums[2]).unwrap();
        outputs.extend(graph.gradients(&objective, &[x, weight, image, taps]).unwrap());
        let mut program = Session::open("auto")
            .unwrap()
            .aimed_at(target)
            .compile(&graph, &outputs.iter().collect::<Vec<_>>())
            .unwrap();
        program.run().unwrap();
        outputs.iter().map(|output| program.read(output).unwrap()).collect()
    };
    for target in [Target::software(), Kernels::SUBGROUPS.into()] {
        assert!(bits(target) == bits(Target { subgroup_products: false, ..target }), "{target:?}");
    }
}

/// Kernels of any family in a plan.
fn fast(plan: &Plan) -> usize {
    let is_fast = |launch: &&Launch| {
        launch.shader.name.ends_with("_shared")
            || ["matmul_coop", "matmul_coop_half", "matmul_subgroup"].contains(&launch.shader.name)
            || launch.defines.iter().any(|(name, _)| *name == "SHARED")
    };
    plan.steps.iter().flat_map(|step| &step.launches.list).filter(is_fast).count()
}

/// How many kernels of a plan convert halves by functions of WGSL.
fn converting(plan: &Plan) -> usize {
    let converts = |launch: &&Launch| launch.conversion == Conversion::Builtin && !launch.half.is_empty();
    plan.steps.iter().flat_map(|step| &step.launches.list).filter(converts).count()
}

/// Protects: a session, opened as by the command line, stores the result in the user's cache folder and uses it the
/// next time. Runs itself in processes with separate caches.
#[test]
fn a_session_obeys_the_verdict() {
    if env::var_os("TAGSEG_TEST_OPENS").is_some() {
        let graph = Graph::new();
        let rows = graph.constant(&[0.5; 8], [2, 4]).softmax(-1).unwrap();
        let plan = device::open(like_a_card()).unwrap().plan(&graph, &[&rows]).unwrap().unwrap();
        println!("{} in {}", ["plain", "shared"][fast(&plan)], device::cache_folder().unwrap().display());
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let open = || {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "a_session_obeys_the_verdict", "--nocapture"]).env("TAGSEG_TEST_OPENS", "1");
        let output =
            child.envs(["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"].map(|name| (name, place.path()))).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
        printed
            .lines()
            .find_map(|line| line.split_once(" in ").map(|(kind, folder)| (kind.to_owned(), folder.to_owned())))
            .unwrap()
    };
    let (kind, folder) = open();
    assert!(kind.ends_with("shared"), "{kind}");
    let file = stored(Path::new(&folder));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"shared rows\": true", "\"shared rows\": false")).unwrap();
    assert!(open().0.ends_with("plain"), "the stored result was not used");
}

/// Protects: a session opened through the library writes nothing and reads no environment: no cache, and no limits.
/// Runs itself in a process with a separate cache and limits that do not exist.
#[test]
fn a_session_by_itself_leaves_no_trace() {
    if env::var_os("TAGSEG_TEST_OPENS_BY_ITSELF").is_some() {
        Session::open(DeviceChoice::default().class(Class::Gpu)).unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child
        .args(["--exact", "a_session_by_itself_leaves_no_trace", "--nocapture"])
        .env("TAGSEG_TEST_OPENS_BY_ITSELF", "1");
    child.envs(["XDG_CACHE_HOME", "LOCALAPPDATA"].map(|name| (name, place.path()))).env("TAGSEG_LIMITS", "none");
    let output = child.output().unwrap();
    let [printed, complained] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success() && complained.is_empty(), "{printed}{complained}");
    // The driver may keep compiled kernels there.
    let folders: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!folders.contains(&"tagseg".into()), "{folders:?}");
}

/// Protects: with a table that selects cooperative matrices, of f32 or of halves, they are used if the device has them and
/// the self-test passes, else plain products, with a notice; results are correct.
#[test]
fn cooperative_matrices_are_used_if_available() {
    let choice = choice(DeviceChoice::default().kernels(KernelTable::of("", Kernels::COOPERATIVE)));
    let device = pollster::block_on(Device::open(&choice)).unwrap();
    let verdict = pollster::block_on(verdict(FAMILIES, &device, None)).unwrap();
    let adapters = pollster::block_on(adapters());
    let whole = env::var("TAGSEG_LIMITS").as_deref() != Ok("default");
    let adapter = adapters.iter().find(|adapter| adapter.automatic).unwrap();
    let session = device::open(choice).unwrap();
    for (family, there, storage) in [
        ("cooperative matrices", adapter.cooperative, Storage::Whole),
        ("cooperative matrices of halves", adapter.half_matrices.is_some(), Storage::Half),
    ] {
        let there = whole && there;
        println!("{}: {family} {}", device.driver(), if there { "tested" } else { "missing, notice only" });
        assert_eq!(verdict.families[family], if there { Standing::Chosen } else { Standing::Missing });
        let mut target = verdict.target;
        let switch = FAMILIES.iter().find(|known| known.name == family).unwrap().switch;
        assert_eq!(*switch(&mut target), there);

        let graph = Graph::new();
        let zero = graph.input("zero", [], DType::F32);
        let filled = |value: f64| graph.full(value, [1, 64, 64])?.add(&zero)?.pad(0, 0, 1);
        let product = graph.stored(storage, || filled(2.0)?.matmul(&filled(3.0)?)).unwrap();
        assert_eq!(fast(&session.plan(&graph, &[&product]).unwrap().unwrap()), usize::from(there));
        let mut program = session.compile(&graph, &[&product]).unwrap();
        program.write(&zero, &[0.0]).unwrap();
        program.run().unwrap();
        assert_eq!(program.read(&product).unwrap(), [384.0; 64 * 64]);
    }
}

/// y = 2·x, whose fast kernel has another factor, given as WGSL text.
#[derive(Debug)]
struct Doubled {
    fast: &'static str,
}

const KERNEL: &str = r#"
#include "common/index.wgsl"

struct Params { count: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<f32>
#write y: array<f32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i < p.count { store_y(i, $FACTOR * load_x(i)); }
}
"#;

impl Op for Doubled {
    fn name(&self) -> &'static str {
        "doubled"
    }

    fn output(&self, inputs: &[&TensorType]) -> Result<TensorType, String> {
        Ok(inputs[0].clone())
    }

    fn launches(&self, context: &LaunchContext<'_>) -> Launches {
        let count = context.output.shape.len();
        let factor = if context.target.shared_rows { self.fast } else { "2.0" };
        Launch::new(Shader { name: "doubled", source: KERNEL.into() }, count, 1)
            .define("FACTOR", factor)
            .uints(&[count])
            .bind(&[Slot::Input(0), Slot::Output])
            .into()
    }

    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![Array::from_fn(&inputs[0].shape, |i| 2.0 * inputs[0].data[i])]
    }
}

fn doubled(graph: &Graph, fast: &'static str) -> Result<Vec<Tensor>> {
    let x = graph.constant(&[1.0, -2.0, 3.0, 0.5, 8.0], [5]);
    Ok(vec![Tensor::record(Doubled { fast }, &[&x])?])
}

/// Protects: a kernel that computes wrong values or NaN, or does not compile, is refused, and the
/// results without it are correct.
#[test]
fn a_broken_kernel_is_refused() {
    const WRONG: &str = "select(2.0, 1.99, id.x % 3u == 2u)";
    const NO_NUMBER: &str = "bitcast<f32>(0x7fc00000u + min(p.count, 0u))";
    const NO_KERNEL: &str = "nothing";
    fn family(record: fn(&Graph) -> Result<Vec<Tensor>>) -> Family {
        Family { name: "broken rows", switch: |target| &mut target.shared_rows, kernels: Kernels::SHARED, record }
    }
    for (broken, kept) in [
        (family(|graph| doubled(graph, WRONG)), true),
        (family(|graph| doubled(graph, NO_NUMBER)), true),
        (family(|graph| doubled(graph, NO_KERNEL)), false),
    ] {
        let place = tempfile::tempdir().unwrap();
        let record = broken.record;
        let families = [broken];
        let first = judge(&families, Some(place.path()));
        assert_eq!(standings(&first), [Standing::Refused]);
        assert_eq!(first.target, Target { shared_rows: false, ..graphics() });
        assert_eq!(first.since.is_some(), kept, "a kernel that could not run is tested again");
        assert_eq!(first.notices.len(), 1);
        assert!(first.notices[0].contains("broken rows failed their self-test"), "{:?}", first.notices);
        let second = judge(&families, Some(place.path()));
        assert_eq!((standings(&second), second.notices.is_empty()), (vec![Standing::Refused], kept));

        let session = Session::open("auto").unwrap().aimed_at(first.target);
        let graph = Graph::new();
        let y = record(&graph).unwrap().remove(0);
        let mut program = session.compile(&graph, &[&y]).unwrap();
        program.run().unwrap();
        assert_eq!(program.read(&y).unwrap(), [2.0, -4.0, 6.0, 1.0, 16.0]);
    }
}

/// Protects: the self-test runs the kernels of its families, and without a family they are the plain ones.
#[test]
fn every_family_is_run_by_its_test() {
    for family in FAMILIES {
        let graph = Graph::new();
        let outputs: Vec<_> = (family.record)(&graph).unwrap().iter().map(Tensor::id).collect();
        let all = Target::from(family.kernels);
        let mut without = all;
        *(family.switch)(&mut without) = false;
        let count = if family.name == CONVERSIONS { converting } else { fast };
        let [fast, plain] = [all, without].map(|target| count(&Plan::new(&graph, &outputs, target)));
        assert!(fast >= 3 && plain == 0, "{}: {fast} fast kernels, {plain} without it", family.name);
    }
}
