//! The kernels before spirv-val, the validator of the SPIR-V tools.

use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use super::KERNELS;
use super::kernels::Kernel;

/// What a validator says of a module, if anything.
fn refusal(mut validator: Command, words: &[u32], file: &Path) -> Option<String> {
    fs::write(file, words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    let run = validator.args(["--target-env", "vulkan1.3"]).arg(file).output();
    let run = run.unwrap_or_else(|error| panic!("spirv-val: {error}; scripts/compilers.sh installs it"));
    (!run.status.success())
        .then(|| format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)))
}

/// What the validator that `command` starts says of the kernels that it refuses; `all`, or those without cooperative
/// matrices, which older validators do not know.
pub fn refusals(all: bool, command: impl Fn() -> Command + Sync) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let wrong = [0x0723_0203, 0x0001_0600, 0, 1, 0];
    let file = folder.path().join("wrong.spv");
    assert!(refusal(command(), &wrong, &file).is_some(), "a module without a memory model passes");
    let check = |half: usize| -> Vec<String> {
        let file = folder.path().join(format!("{half}.spv"));
        let refused =
            |kernel: &Kernel| refusal(command(), &kernel.words, &file).map(|said| format!("{}: {said}", kernel.name));
        let known = KERNELS.iter().filter(|kernel| all || !kernel.with_matrices);
        known.skip(half).step_by(2).filter_map(refused).collect()
    };
    thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let check = &check;
            scope.spawn(move || check(half))
        });
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

/// Protects: the SPIR-V that drivers get obeys its rules. naga's writer is checked by another project's validator.
#[test]
fn every_module_is_valid() {
    let refused = refusals(false, || Command::new("spirv-val"));
    println!("{} modules", KERNELS.iter().filter(|kernel| !kernel.with_matrices).count());
    assert!(refused.is_empty(), "spirv-val refuses:\n{}", refused.join("\n"));
}
