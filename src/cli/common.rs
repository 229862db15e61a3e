//! Flags that several commands share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use tagseg::config::{Config, Rung};
use tagseg::engine::gpu::{DeviceChoice, Limits};
use tagseg::engine::kernel::KernelTable;
use tagseg::formats::durable::check_folder_of;
use tagseg::method::Methods;
use tagseg::run::eval::Protocol;
use tagseg::{Error, Result};

/// Flags that select the device. The command sets the default of each.
#[derive(Debug, Clone, Args)]
pub struct DeviceArg {
    /// Device: `auto` (best GPU, otherwise software Vulkan), an index or part of a name from `tagseg devices`, or
    /// `reference` (CPU interpreter) [default: auto]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,

    /// Device limits: `adapter` (all that the adapter supports) or `default` (WebGPU's guaranteed minimum)
    /// [default: adapter]
    #[arg(long, value_name = "LIMITS")]
    limits: Option<Limits>,

    /// Select kernels from this table, written by `tagseg tune`, if it has a section for the device
    #[arg(long, value_name = "FILE")]
    kernels: Option<KernelTable>,

    /// Submit work in small portions with pauses, to keep a desktop on the same device responsive
    #[arg(long)]
    nice: bool,
}

impl From<DeviceArg> for DeviceChoice {
    fn from(DeviceArg { device, limits, kernels, nice }: DeviceArg) -> Self {
        let mut choice = DeviceChoice::default().limits(limits).kernels(kernels).nice(nice);
        choice.adapter = device;
        choice
    }
}

/// Help of --format.
pub const FORM_HELP: &str = "Forms to write, see docs/formats.md: png (index masks), overlay, coco (annotations.json \
     with run lengths), coco-polygons, yolo-seg, label-studio, cvat, csv (areas and tag scores)";

/// Flags of evaluation and prediction.
#[derive(Debug, Clone, Args)]
pub struct ProtocolArgs {
    /// `train`: one pass at the image's own size, as validation during training. `test`: long side 512, three scales
    /// with mirror images, fused by max, as the published final test [test.*] [default: train; label: test]
    #[arg(long, value_name = "NAME", value_parser = ["train", "test"])]
    protocol: Option<String>,

    /// Refine the result with a dense CRF [crf.*]
    #[arg(long)]
    pub crf: bool,

    /// Storage of features: `f32` or `mixed` [train.precision; default: as trained]
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    /// Set an option of test, crf, par or cam, ms.scales or data.form, e.g. `--set test.long_side=0`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl ProtocolArgs {
    /// Every option that was set, in order; the last one wins.
    pub fn assignments(&self) -> Vec<String> {
        self.assignments.iter().cloned().chain(precision(self.precision.as_deref())).collect()
    }

    /// The selected protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol_or(Protocol::Train)
    }

    /// The selected protocol, or a default.
    pub fn protocol_or(&self, default: Protocol) -> Protocol {
        match self.protocol.as_deref() {
            Some("test") => Protocol::Test,
            Some(_) => Protocol::Train,
            None => default,
        }
    }
}

/// Training configuration: a preset, overridden by a file, overridden by single options.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration (each overrides the ones before)")]
pub struct ConfigArgs {
    #[arg(long, visible_alias = "base", value_name = "NAME", value_parser = preset_name, help = preset_help())]
    pub preset: Option<String>,

    /// Read options from a TOML file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set one option, e.g. `--set sigma_c=0.6`; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub assignments: Vec<String>,

    /// Number of training steps [train.iters]
    #[arg(long, value_name = "N")]
    pub steps: Option<String>,

    /// Images per step [batch.global]
    #[arg(long, value_name = "N")]
    pub batch: Option<String>,

    /// Images per micro-batch: compute the gradients of N images at a time, in less memory [batch.micro]
    #[arg(long, value_name = "N")]
    pub micro_batch: Option<String>,

    /// Side of the square training crop in pixels, a multiple of 16 [train.crop]
    #[arg(long, value_name = "N")]
    pub crop: Option<String>,

    /// Limit of a step's device memory, e.g. `8GB` [train.memory]
    #[arg(long, value_name = "AMOUNT")]
    pub memory: Option<String>,

    /// Storage of features: `f32`, or `mixed` for half precision in half the memory [train.precision]
    #[arg(long, value_name = "NAME")]
    pub precision: Option<String>,

    /// Random seed [seed]
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
}

impl ConfigArgs {
    /// The resolved and validated configuration; starts from the default preset without --preset.
    pub fn resolve(&self) -> Result<Config> {
        self.resolve_over(&Config::preset(Config::DEFAULT_PRESET)?)
    }

    /// The resolved and validated configuration; starts from `base` without --preset.
    pub fn resolve_over(&self, base: &Config) -> Result<Config> {
        let mut config = self.preset.as_ref().map_or_else(|| Ok(base.clone()), |preset| Config::preset(preset))?;
        if let Some(path) = &self.config {
            config.load_file(path)?;
        }
        for assignment in &self.assignments {
            config.set(assignment)?;
        }
        let short = [
            ("train.iters", &self.steps),
            ("batch.global", &self.batch),
            ("batch.micro", &self.micro_batch),
            ("train.crop", &self.crop),
            ("train.memory", &self.memory),
            ("train.precision", &self.precision),
            ("seed", &self.seed),
        ];
        for (key, value) in short {
            if let Some(value) = value {
                config.set(&format!("{key}={value}"))?;
            }
        }
        Methods::default().check(&config)?;
        Ok(config)
    }
}

/// The assignment for `--precision`.
pub fn precision(name: Option<&str>) -> Option<String> {
    name.map(|name| format!("train.precision={name}"))
}

/// Parses the name of a preset, with or without a rung.
pub fn preset_name(name: &str) -> Result<String> {
    Config::preset(name).map(|_| name.to_owned())
}

/// Help of --preset, with the names of presets and rungs.
fn preset_help() -> String {
    let (presets, rungs): (Vec<_>, _) = (Config::preset_names().collect(), Rung::ALL.map(Rung::name));
    format!(
        "Preset to start from [default: {}]: {}. NAME+RUNG selects a subset of the method: {}. \
         `tagseg config NAME` prints a preset",
        Config::DEFAULT_PRESET,
        presets.join(", "),
        rungs.join(", ")
    )
}

/// Returns a parser for whole numbers in a range.
pub fn within<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from {} to {}", range.start(), range.end())),
    }
}

/// Returns an error if the output folder is not empty, unless `overwrite`. Deletes nothing.
pub fn check_free(out: &Path, overwrite: bool) -> Result<()> {
    if out.is_file() {
        return Err(Error::data(out, "is a file", "give the name of a folder"));
    }
    let taken = out.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken && !overwrite {
        return Err(Error::data(out, "already exists", "choose another name or pass --overwrite"));
    }
    Ok(())
}

/// Returns an error if the output file exists (unless `overwrite`), is a folder, or would be in a missing folder.
pub fn check_file_free(out: &Path, overwrite: bool) -> Result<()> {
    check_folder_of(out)?;
    if out.is_dir() {
        return Err(Error::data(out, "is a folder", "give the name of a file"));
    }
    // Pipes and devices are written to, not replaced.
    if out.is_file() && !overwrite {
        return Err(Error::data(out, "already exists", "choose another name or pass --overwrite"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: ConfigArgs,
    }

    fn resolve(flags: &[&str]) -> Result<Config> {
        Flags::parse_from([&["tagseg"], flags].concat()).config.resolve()
    }

    #[test]
    fn each_source_overrides_the_ones_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, "seed = 2\ntrain.iters = 50\nbatch.global = 16\n").unwrap();
        let file = file.to_str().unwrap();
        let flags =
            ["--preset", "nano", "--config", file, "--set", "seed=3", "--set", "train.crop=64", "--steps", "100"];
        let config = resolve(&flags).unwrap();
        assert_eq!((config.seed, config.train_iters, config.batch_global, config.train_crop), (3, 100, 16, 64));
        assert_eq!(config.schedule_n_c2s, 20, "shares of the preset follow the number of steps");
    }

    #[test]
    fn invalid_options_are_refused() {
        let text = resolve(&["--batch", "few"]).unwrap_err().to_string();
        assert_eq!(text, r#"option `batch.global`: "few" is not allowed; give a whole number from 1 to 4096"#);
        let text = resolve(&["--steps", "10", "--set", "optim.warmup_iters=10"]).unwrap_err().to_string();
        assert!(text.contains("optim.warmup_iters"), "{text}");
        assert!(resolve(&["--config", "/nowhere/c.toml"]).unwrap_err().to_string().contains("/nowhere/c.toml"));
    }

    #[test]
    fn a_folder_that_is_not_empty_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_free(folder.path(), false).is_ok());
        assert!(check_free(&folder.path().join("new"), false).is_ok());
        std::fs::write(folder.path().join("config.toml"), "").unwrap();
        assert!(check_free(folder.path(), false).is_err() && check_free(folder.path(), true).is_ok());
    }
}
