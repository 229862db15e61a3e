//! Asks a compiler about the kernels for a card, in a process of its own: a driver reads once for which card it is to
//! compile, and one that crashes takes only this process with it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

use serde::{Deserialize, Serialize};
use tagseg::engine::kernel::{Class, KernelTable, Registers};
use tempfile::TempDir;

use super::KERNELS;
use super::driver::{Compiled, Driver};

/// A kernel for the process that compiles it.
#[derive(Serialize, Deserialize)]
struct Module {
    words: Vec<u32>,
    bindings: usize,
    with_matrices: bool,
    registers: Vec<Registers>,
}

/// What such a process finds.
#[derive(Serialize, Deserialize)]
pub struct Findings {
    /// The card's name, as its driver has it.
    pub card: String,
    /// Name and version of the driver.
    pub driver: String,
    /// One of each of [`KERNELS`]; none where the card lacks what the kernel is for, or its table chooses another.
    pub kernels: Vec<Option<Compiled>>,
}

/// The folder that has the kernels for these processes.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let modules = KERNELS.iter().map(|kernel| Module {
        words: kernel.words.clone(),
        bindings: kernel.bindings,
        with_matrices: kernel.with_matrices,
        registers: kernel.registers.clone(),
    });
    let modules = serde_json::to_vec(&modules.collect::<Vec<_>>()).unwrap();
    fs::write(folder.path().join("modules.json"), modules).unwrap();
    folder
});

/// Asks the Vulkan driver of this name. `command` starts this program, and its environment selects the card. What the
/// process printed, if it fails.
pub fn ask(mut command: Command, driver: &str, with_code: bool) -> Result<Findings, String> {
    let child = command
        .args(["--exact", "cards::compile_for_a_card", "--ignored", "--nocapture"])
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env("TAGSEG_MODULES", FOLDER.path())
        .env("TAGSEG_DRIVER", driver)
        .env("TAGSEG_CODE", with_code.to_string())
        .output()
        .unwrap();
    if !child.status.success() {
        let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        return Err(format!("{}:\n{out}{err}", child.status));
    }
    let file = FOLDER.path().join("findings.json");
    let findings: Findings = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    fs::remove_file(file).unwrap();
    assert_eq!(findings.kernels.len(), KERNELS.len());
    Ok(findings)
}

/// Compiles the kernels for the card that the environment selects.
#[test]
#[ignore = "started by the tests that ask compilers"]
fn compile_for_a_card() {
    let folder = PathBuf::from(env::var("TAGSEG_MODULES").expect("the folder of the kernels"));
    let modules: Vec<Module> = serde_json::from_slice(&fs::read(folder.join("modules.json")).unwrap()).unwrap();
    let driver = Driver::open(&env::var("TAGSEG_DRIVER").unwrap()).unwrap();
    let with_code = env::var("TAGSEG_CODE").is_ok_and(|wish| wish == "true");
    let (_, table) = KernelTable::choose(None, &driver.card, Class::Gpu);
    let compile = |module: &Module| {
        let fits = (driver.has_matrices || !module.with_matrices) && module.registers.contains(&table.registers);
        fits.then(|| driver.compile(&module.words, module.bindings, with_code))
    };
    let findings = Findings {
        card: driver.card.clone(),
        driver: driver.driver.clone(),
        kernels: modules.iter().map(compile).collect(),
    };
    fs::write(folder.join("findings.json"), serde_json::to_vec(&findings).unwrap()).unwrap();
}
