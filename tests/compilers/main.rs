//! What real compilers make of the kernels, without a card. Mesa's driver for AMD's cards, RADV, compiles for any of
//! them if it is told which (`RADV_FORCE_FAMILY`); it only cannot compute. No kernel of a training step may be refused,
//! nor be worse than the table `allowed.md` says. spirv-val reads them, too. scripts/compilers.sh installs what this needs.
//!
//! `make test-compilers` also prints all figures, and writes the table anew if TAGSEG_COMPILERS=write is set.
//! TAGSEG_COMPILERS=code keeps the machine code of every kernel in target/tmp/compilers/, and tells how much of an inner
//! loop multiplies and adds. `make test-compilers-newest` asks the newest compilers about cards of other makers, too.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

mod allowed;
mod cards;
mod driver;
mod kernels;
mod machine_code;
mod measured;
mod newest;
#[path = "../planned/mod.rs"]
mod planned;
mod validators;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use cards::Findings;
use kernels::{Kernel, SHARED};
use measured::{Measured, percent};
use tagseg::engine::kernel::{Class, KernelTable, Registers};

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

fn asked(what: &str) -> bool {
    env::var("TAGSEG_COMPILERS").is_ok_and(|wish| wish == what)
}

/// What RADV makes of all kernels for a card; `None` if this Mesa does not know it.
fn findings(card: &str) -> Option<Findings> {
    let mut command = Command::new(env::current_exe().unwrap());
    // Neither limits the loader to other drivers.
    command.env("RADV_FORCE_FAMILY", card).env_remove("VK_ICD_FILENAMES").env_remove("VK_DRIVER_FILES");
    match cards::ask(command, RADV, asked("code")) {
        Ok(findings) => {
            let (_, table) = KernelTable::choose(None, &findings.card, Class::Gpu);
            assert_eq!(table.registers, Registers::Many, "{} is not known as a card of AMD", findings.card);
            Some(findings)
        }
        Err(said) if said.contains("Unknown family") => None,
        Err(said) => panic!("compiling for {card} ended with {said}"),
    }
}

/// Protects: the kernels of `voc`, `nano` and `photos`, in every phase and both precisions, on AMD's cards: the driver
/// accepts them, and they keep no more in memory, and leave no less room for others, than the table says. The table is
/// for the Mesa that it names; with another one, only refusals fail.
#[test]
fn no_kernel_is_worse_than_allowed() {
    let (mut measured, mut mesa) = (Measured::new(), String::new());
    for card in CARDS {
        let Some(findings) = findings(card) else {
            println!("this Mesa does not know {card}");
            continue;
        };
        println!("{card}: {} with {}", findings.card, findings.driver);
        mesa.clone_from(&findings.driver);
        if asked("code") {
            keep(&findings, card);
        }
        let shares = percent(measured.add(card, findings).shares, 1);
        println!("  {shares} of the arithmetic of steps of {} in kernels with scratch or spills", SHARED.join(" | "));
    }
    measured.assert_none_refused();
    let found = &measured.table;
    assert!(found.values().all(|cards| cards.contains_key("navi21")), "no kernel was compiled for navi21");
    let figures = measured.rows(|_, _| true);
    fs::create_dir_all(KEPT).unwrap();
    fs::write(PathBuf::from(KEPT).join("figures.md"), &figures).unwrap();
    println!("{figures}");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compilers/allowed.md");
    let text = fs::read_to_string(file).unwrap();
    let (head, _) = text.split_once('|').expect("a table");
    if asked("write") {
        assert!(wish().is_empty(), "the table has all kernels");
        let named = head
            .lines()
            .map(|line| if line.starts_with("Compiler: ") { format!("Compiler: {mesa}") } else { line.into() });
        let named: Vec<String> = named.collect();
        fs::write(file, format!("{}\n\n{}", named.join("\n").trim_end(), allowed::written(found, &CARDS))).unwrap();
        return;
    }
    let mut allowed = allowed::parse(&text);
    allowed.retain(|kernel, _| kernel.contains(&wish()));
    let differences = allowed::compare(found, &allowed);
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

/// Keeps the machine code of every kernel.
fn keep(findings: &Findings, card: &str) {
    let folder = PathBuf::from(KEPT).join(card);
    fs::create_dir_all(&folder).unwrap();
    for (number, (kernel, compiled)) in KERNELS.iter().zip(&findings.kernels).enumerate() {
        let Some(compiled) = compiled else { continue };
        fs::write(folder.join(format!("{} {number}.s", kernel.name)), &compiled.code).unwrap();
    }
}
