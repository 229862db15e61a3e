//! Embeds the network for photographs where its file is: in the repository, but not in the published package.
//!
//! `cargo package` builds the package in the target folder of the checkout, which then takes this script's result from
//! there: give it a folder of its own, `cargo package --target-dir target/package-check`.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bundled_animals)");
    println!("cargo::rerun-if-changed=models/animals.safetensors");
    if std::path::Path::new("models/animals.safetensors").is_file() {
        println!("cargo::rustc-cfg=bundled_animals");
    }
}
