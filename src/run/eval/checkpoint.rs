//! The checkpoint that a command names, checked as far as possible without a device.

#[cfg(feature = "native")]
use std::path::Path;

use crate::config::Config;
#[cfg(feature = "native")]
use crate::config::OptionInfo;
use crate::engine::graph::Graph;
use crate::engine::nn::Parameter;
#[cfg(feature = "native")]
use crate::error::Error;
use crate::error::Result;
#[cfg(feature = "native")]
use crate::method::Methods;
use crate::parts::network::{Network, NetworkConfig, NetworkOptions};
#[cfg(feature = "native")]
use crate::run::bundled;
#[cfg(feature = "native")]
use crate::run::weights::Checkpoint;

/// Parameters of a network, in order.
pub(super) fn parameters(network: &NetworkConfig, config: &Config) -> Result<Vec<Parameter>> {
    Ok(Network::new(&Graph::new(), network, NetworkOptions::new(config))?.parameters())
}

/// The newest checkpoint of a run, or a file; without a run, the network for photographs that comes with this program.
/// Options of its evaluation are set by `key=value`. Checks all that can be checked without a device. Warns on standard
/// error if a newer checkpoint is damaged.
///
/// # Errors
/// If there is no checkpoint, it is damaged or of another network, or an option is unknown, is fixed by training,
/// or its value is not allowed, or the method is not in `methods`.
#[cfg(feature = "native")]
pub(super) fn opened(run: Option<&Path>, assignments: &[String], methods: &Methods) -> Result<Checkpoint> {
    let (path, mut checkpoint) = match run {
        Some(run) => {
            let found = Checkpoint::open(run)?;
            found.notices().for_each(|notice| eprintln!("{notice}"));
            (found.path, found.checkpoint)
        }
        None => (bundled::ANIMALS.into(), bundled::animals()?),
    };
    methods.of(&checkpoint.config)?;
    let network = NetworkConfig::new(&checkpoint.config, checkpoint.classes.len())?;
    parameters(&network, &checkpoint.config).and_then(|parameters| checkpoint.check(&parameters)).map_err(|error| {
        Error::data(&path, error.to_string(), "give a checkpoint that this version of `tagseg train` wrote")
    })?;
    assignments.iter().try_for_each(|assignment| set(&mut checkpoint.config, assignment))?;
    methods.check(&checkpoint.config)?;
    Ok(checkpoint)
}

/// Sets an option that training does not fix.
#[cfg(feature = "native")]
fn set(config: &mut Config, assignment: &str) -> Result<()> {
    let name = assignment.split('=').next().unwrap_or_default().trim();
    let groups = ["test.", "crf.", "par.", "cam.", "ms.scales", "train.precision", "data.form"];
    if OptionInfo::find(name).is_ok() && !groups.iter().any(|group| name.starts_with(group)) {
        return Err(Error::config(name, "is fixed by training", format!("set one of {}", groups.join(", "))));
    }
    config.set(assignment)
}
