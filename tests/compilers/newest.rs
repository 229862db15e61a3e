//! What the newest Mesa makes of the kernels for cards of five makers, which need not be there: libraries of Mesa stand
//! for their kernel drivers (drm-shim). `make test-compilers-newest` gets them (scripts/newest-compilers.sh) and runs
//! this; with TAGSEG_COMPILERS=write it writes the record anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::cards::Findings;
use super::driver::Compiled;
use super::kernels::SHARED;
use super::measured::{Measured, percent};
use super::validators::refusals;
use super::{KERNELS, asked, cards, wish};

/// A card, its compiler, and how this is told to compile for it.
struct Card {
    name: &'static str,
    /// Name of the Vulkan driver, and its library.
    driver: [&'static str; 2],
    /// The library that stands for the kernel's driver.
    shim: &'static str,
    /// The variable that selects the card, and its value; none where the library knows one card only.
    chosen: Option<[&'static str; 2]>,
}

const fn card(
    name: &'static str,
    driver: [&'static str; 2],
    shim: &'static str,
    chosen: Option<[&'static str; 2]>,
) -> Card {
    Card { name, driver, shim, chosen }
}

const RADV: [&str; 2] = ["radv", "libvulkan_radeon.so"];
const NVK: [&str; 2] = ["NVK", "libvulkan_nouveau.so"];
const HONEYKRISP: [&str; 2] = ["Honeykrisp", "libvulkan_asahi.so"];
const TURNIP: [&str; 2] = ["turnip Mesa driver", "libvulkan_freedreno.so"];
const ANV: [&str; 2] = ["Intel open-source Mesa driver", "libvulkan_intel.so"];

const CARDS: [Card; 9] = [
    card("AMD navi31", RADV, "libamdgpu_noop_drm_shim.so", Some(["AMDGPU_GPU_ID", "navi31"])),
    card("AMD gfx1201", RADV, "libamdgpu_noop_drm_shim.so", Some(["AMDGPU_GPU_ID", "gfx1201"])),
    card("NVIDIA Turing", NVK, "libnouveau_noop_drm_shim.so", Some(["NOUVEAU_CHIPSET", "162"])),
    card("NVIDIA Ada", NVK, "libnouveau_noop_drm_shim.so", Some(["NOUVEAU_CHIPSET", "192"])),
    card("NVIDIA Blackwell", NVK, "libnouveau_noop_drm_shim.so", Some(["NOUVEAU_CHIPSET", "1b2"])),
    card("Apple M1", HONEYKRISP, "libasahi_noop_drm_shim.so", None),
    card("Adreno 660", TURNIP, "libfreedreno_noop_drm_shim.so", Some(["FD_GPU_ID", "660"])),
    card("Intel dg2", ANV, "libintel_noop_drm_shim.so", Some(["INTEL_STUB_GPU_PLATFORM", "dg2"])),
    card("Intel bmg", ANV, "libintel_noop_drm_shim.so", Some(["INTEL_STUB_GPU_PLATFORM", "bmg"])),
];

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/record/compilers.md");

/// Kernels with less of a step are left out of the record if they keep all in registers.
const SHARE: f64 = 0.005;

/// A folder with a Debian of its own, whose programs run by its own loader.
struct Root {
    loader: PathBuf,
    libraries: PathBuf,
    programs: PathBuf,
}

impl Root {
    fn open(folder: &Path) -> Self {
        let one = |folder: PathBuf, begins: &str| {
            let mut found = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            found
                .find_map(|entry| entry.ok().filter(|entry| entry.file_name().to_string_lossy().starts_with(begins)))
                .map(|entry| entry.path())
        };
        let usr = folder.join("usr");
        let loader = ["lib64", "lib"].into_iter().find_map(|name| one(usr.join(name), "ld-linux-"));
        let libraries = one(usr.join("lib"), &format!("{}-linux-gnu", env::consts::ARCH));
        Root {
            loader: loader.expect("a loader; run `make test-compilers-newest`"),
            libraries: libraries.expect("libraries; run `make test-compilers-newest`"),
            programs: usr.join("bin"),
        }
    }

    /// A program with the libraries of this folder.
    fn command(&self, preloaded: Option<&str>, program: &Path) -> Command {
        let mut command = Command::new(&self.loader);
        command.arg("--library-path").arg(&self.libraries);
        if let Some(name) = preloaded {
            command.arg("--preload").arg(self.libraries.join(name));
        }
        command.arg(program).env_remove("VK_ICD_FILENAMES");
        command
    }
}

/// Protects: no compiler refuses a kernel, be the card of AMD, NVIDIA, Apple, Qualcomm or Intel. What they make of each is
/// compared with the record.
#[test]
#[ignore = "run by `make test-compilers-newest`, which gets the compilers"]
fn no_card_refuses_a_kernel() {
    let root = Root::open(&PathBuf::from(env::var("TAGSEG_NEWEST").expect("the folder of the newest Mesa")));
    let folder = tempfile::tempdir().unwrap();
    let mut measured = Measured::new();
    let of = SHARED.map(|preset| format!("their share of a step of `{preset}`")).join(" | ");
    let mut summary = format!("| card | compiler | with scratch or spills | {of} | cooperative matrices |\n");
    summary += &format!("|{}\n", " --- |".repeat(4 + SHARED.len()));
    for card in CARDS {
        let [driver, library] = card.driver;
        if !root.libraries.join(card.shim).exists() {
            writeln!(summary, "| {} | not asked, as {} is missing | | | | |", card.name, card.shim).unwrap();
            continue;
        }
        let list = folder.path().join("driver.json");
        let library = root.libraries.join(library);
        let json = serde_json::json!({"file_format_version": "1.0.0",
            "ICD": {"library_path": library, "api_version": "1.3.0"}});
        fs::write(&list, json.to_string()).unwrap();
        let mut command = root.command(Some(card.shim), &env::current_exe().unwrap());
        command.env("VK_DRIVER_FILES", &list).envs(card.chosen.map(|[name, value]| (name, value)));
        let findings = cards::ask(command, driver, true)
            .unwrap_or_else(|said| panic!("compiling for {} ended with {said}", card.name));
        let compiler = findings.driver.clone();
        let compiled = findings.kernels.iter().flatten().count();
        let matrices = matrices(&findings);
        let sum = measured.add(card.name, findings);
        writeln!(
            summary,
            "| {} | {compiler} | {} of {} kernels | {} | {matrices} |",
            card.name,
            sum.in_memory,
            compiled,
            percent(sum.shares, 1)
        )
        .unwrap();
    }
    let validator = root.programs.join("spirv-val");
    let refused = refusals(true, || root.command(None, &validator));
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for said in &refused {
        let rule = said.split(['[', ']']).find(|word| word.starts_with("VUID")).unwrap_or(said);
        *rules.entry(rule).or_default() += 1;
    }
    let rules: Vec<_> = rules.into_iter().map(|(rule, count)| format!("{count} break {rule}")).collect();
    let invalid = format!(
        "The newest `spirv-val` refuses {} of {} modules: {}.\n",
        refused.len(),
        KERNELS.len(),
        rules.join(", ")
    );
    println!("{summary}\n{invalid}");
    measured.assert_none_refused();

    let now = measured.rows(|share, figures| share >= SHARE || figures.is_in_memory());
    let before = fs::read_to_string(RECORD).unwrap_or_default();
    compare(&before, &now);
    if asked("write") {
        assert!(wish().is_empty(), "the record has all kernels");
        let (head, _) = before.split_once("\n## ").expect("a head");
        fs::write(RECORD, format!("{head}\n## Cards\n\n{summary}\n{invalid}\n## Kernels\n\n{now}")).unwrap();
    }
}

/// How the kernels with cooperative matrices multiply halves on a card, in its machine code.
fn matrices(findings: &Findings) -> String {
    let kernels = KERNELS.iter().zip(&findings.kernels).filter(|(kernel, _)| kernel.with_matrices);
    let compiled: Vec<_> = kernels.filter_map(|(_, compiled)| compiled.as_ref()).collect();
    if compiled.is_empty() {
        return "none of 16×16 halves".to_owned();
    }
    // AMD's instruction, and NVIDIA's.
    let named = |kernel: &&Compiled, name: &str| kernel.code.contains(name);
    let instruction =
        ["v_wmma_f32_16x16x16_f16", "hmma"].into_iter().find(|name| compiled.iter().all(|own| named(own, name)));
    let instruction = instruction.expect("no instruction for cooperative matrices");
    format!("{} kernels by `{instruction}`", compiled.len())
}

/// Prints the rows that are not the same.
fn compare(before: &str, now: &str) {
    let rows = |text: &str| -> BTreeMap<[String; 2], String> {
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("| ")?.split(" | ").collect();
            Some(([cells.first()?.to_string(), cells.get(1 + SHARED.len())?.to_string()], line.to_owned()))
        });
        rows.collect()
    };
    let (before, now) = (rows(before), rows(now));
    for (name, row) in &now {
        match before.get(name) {
            Some(old) if old != row => println!("before {old}\nnow    {row}"),
            Some(_) => {}
            None => println!("new    {row}"),
        }
    }
}
