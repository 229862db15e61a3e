//! What real compilers make of the kernels, without a card. Mesa's driver for AMD's cards, RADV, compiles for any of
//! them if it is told which (`RADV_FORCE_FAMILY`); it only cannot compute. No kernel of a training step may be refused,
//! nor be worse than the table `allowed.md` says. spirv-val reads them, too. scripts/compilers.sh installs what this needs.
//!
//! `make test-compilers` also prints all figures, and writes the table anew if TAGSEG_COMPILERS=write is set.
//! TAGSEG_COMPILERS=code keeps the machine code of every kernel in target/tmp/compilers/.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod allowed;
mod driver;
mod kernels;
#[path = "../planned/mod.rs"]
mod planned;
mod validators;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use allowed::{Figures, Table};
use driver::{Compiled, Driver};
use kernels::Kernel;
use serde::{Deserialize, Serialize};

/// AMD's cards of five generations, from 2016 to 2022, as Mesa calls them.
const CARDS: [&str; 5] = ["polaris10", "vega10", "navi10", "navi21", "gfx1100"];

/// The name of RADV among Vulkan's drivers.
const RADV: &str = "radv";

/// Where the figures and the machine code are left.
const KEPT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/compilers");

/// The kernels of all steps whose names contain the wish.
static KERNELS: LazyLock<Vec<Kernel>> =
    LazyLock::new(|| kernels::of_steps().into_iter().filter(|kernel| kernel.name.contains(&wish())).collect());

/// TAGSEG_KERNEL=attention is for work on one kernel.
fn wish() -> String {
    env::var("TAGSEG_KERNEL").unwrap_or_default()
}

/// A kernel for the process that compiles it.
#[derive(Serialize, Deserialize)]
struct Module {
    words: Vec<u32>,
    bindings: usize,
}

/// What such a process finds.
#[derive(Serialize, Deserialize)]
struct Findings {
    card: String,
    driver: String,
    kernels: Vec<Compiled>,
}

fn asked(what: &str) -> bool {
    env::var("TAGSEG_COMPILERS").is_ok_and(|wish| wish == what)
}

/// Compiles the kernels of a file for the card that the environment asks for: a driver reads it once per process, and a
/// driver that crashes takes only this process with it.
#[test]
#[ignore = "run by no_kernel_is_worse_than_allowed"]
fn compile_for_a_card() {
    let folder = PathBuf::from(env::var("TAGSEG_MODULES").expect("the folder of the kernels"));
    let modules: Vec<Module> = serde_json::from_slice(&fs::read(folder.join("modules.json")).unwrap()).unwrap();
    let driver = Driver::open(RADV).unwrap();
    let compile = |module: &Module| driver.compile(&module.words, module.bindings, asked("code"));
    let findings = Findings {
        card: driver.card.clone(),
        driver: driver.driver.clone(),
        kernels: modules.iter().map(compile).collect(),
    };
    fs::write(folder.join("findings.json"), serde_json::to_vec(&findings).unwrap()).unwrap();
}

/// What RADV makes of all kernels for a card; `None` if this Mesa does not know it.
fn findings(card: &str, folder: &Path) -> Option<Findings> {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "compile_for_a_card", "--ignored", "--nocapture"])
        .env("RADV_FORCE_FAMILY", card)
        // Neither limits the loader to other drivers.
        .env_remove("VK_ICD_FILENAMES")
        .env_remove("VK_DRIVER_FILES")
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env("TAGSEG_MODULES", folder)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if said.contains("Unknown family") {
        return None;
    }
    assert!(child.status.success(), "compiling for {card} ended with {}:\n{said}", child.status);
    let file = folder.join("findings.json");
    let findings: Findings = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(file).unwrap();
    assert_eq!(findings.kernels.len(), KERNELS.len());
    Some(findings)
}

/// Protects: the kernels of `voc`, `nano` and `photos`, in every phase and both precisions, on AMD's cards: the driver
/// accepts them, and they keep no more in memory, and leave no less room for others, than the table says. The table is
/// for the Mesa that it names; with another one, only refusals fail.
#[test]
fn no_kernel_is_worse_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let modules = KERNELS.iter().map(|kernel| Module { words: kernel.words.clone(), bindings: kernel.bindings });
    let modules = serde_json::to_vec(&modules.collect::<Vec<_>>()).unwrap();
    fs::write(folder.path().join("modules.json"), modules).unwrap();

    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    KERNELS.iter().for_each(|kernel| *shares.entry(&kernel.name).or_default() += kernel.share);
    let (mut found, mut refused, mut mesa) = (Table::new(), Vec::new(), String::new());
    for card in CARDS {
        let Some(findings) = findings(card, folder.path()) else {
            println!("this Mesa does not know {card}");
            continue;
        };
        println!("{card}: {} with {}", findings.card, findings.driver);
        mesa = findings.driver;
        let mut scratch = 0.0;
        for (number, (kernel, compiled)) in KERNELS.iter().zip(findings.kernels).enumerate() {
            match &compiled.statistics {
                Ok(statistics) => {
                    let own = Figures::of(statistics);
                    scratch += if own.scratch + own.spills > 0 { kernel.share } else { 0.0 };
                    let row = found.entry(kernel.name.clone()).or_default();
                    row.entry(card.to_owned()).and_modify(|known| *known = known.worst(own)).or_insert(own);
                }
                Err(error) => refused.push(format!("{} on {card}: {error}", kernel.name)),
            }
            if asked("code") {
                let folder = PathBuf::from(KEPT).join(card);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(format!("{} {number}.s", kernel.name)), compiled.code).unwrap();
            }
        }
        println!("  {:.1} % of the arithmetic of a step in kernels with scratch or spills", 100.0 * scratch);
    }
    assert!(!KERNELS.is_empty(), "no kernel contains `{}`", wish());
    assert!(refused.is_empty(), "refused:\n{}", refused.join("\n"));
    assert!(found.values().all(|cards| cards.contains_key("navi21")), "no kernel was compiled for navi21");
    report(&found, &shares);

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compilers/allowed.md");
    let text = fs::read_to_string(file).unwrap();
    let (head, _) = text.split_once('|').expect("a table");
    if asked("write") {
        assert!(wish().is_empty(), "the table has all kernels");
        let named = head
            .lines()
            .map(|line| if line.starts_with("Compiler: ") { format!("Compiler: {mesa}") } else { line.into() });
        let named: Vec<String> = named.collect();
        fs::write(file, format!("{}\n\n{}", named.join("\n").trim_end(), allowed::written(&found, &CARDS))).unwrap();
        return;
    }
    let mut allowed = allowed::parse(&text);
    allowed.retain(|kernel, _| kernel.contains(&wish()));
    let differences = allowed::compare(&found, &allowed);
    println!("{}", differences.other.join("\n"));
    let worse = differences.worse.join("\n");
    let remedy = "mend the kernel, or run `make test-compilers TAGSEG_COMPILERS=write` and say why in the commit";
    match head.contains(&format!("Compiler: {mesa}\n")) {
        true => assert!(worse.is_empty(), "worse than tests/compilers/allowed.md allows ({remedy}):\n{worse}"),
        false => {
            println!("{mesa} is not the compiler of tests/compilers/allowed.md; there, these are better:\n{worse}")
        }
    }
}

/// All figures as a table, the kernels that do most of the arithmetic of a step first.
fn report(found: &Table, shares: &BTreeMap<&str, f64>) {
    let mut text = "kernel | share of a step of `voc` | card | registers | waves | scratch | spills\n".to_owned();
    text += "---|---|---|---|---|---|---\n";
    let mut order: Vec<_> = found.iter().collect();
    order.sort_by(|(a, _), (b, _)| shares[b.as_str()].total_cmp(&shares[a.as_str()]));
    for (kernel, cards) in order {
        let share = 100.0 * shares[kernel.as_str()];
        for (card, own) in cards {
            let Figures { registers, waves, scratch, spills } = own;
            text += &format!("{kernel} | {share:.2} % | {card} | {registers} | {waves} | {scratch} | {spills}\n");
        }
    }
    fs::create_dir_all(KEPT).unwrap();
    fs::write(PathBuf::from(KEPT).join("figures.md"), &text).unwrap();
    println!("{text}");
}
