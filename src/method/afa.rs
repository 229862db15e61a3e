//! AFA's propagation of seeds in place of BSP: a random walk along the predicted affinity (method.md 4.6).
//! Everything else is as in BMP, so that the two can be compared.

use super::bmp::objective::{self, MAPS};
use super::bmp::{BSP, C2S, S2C, Spreading, phase};
use super::definition::{Method, TrainPass};
use super::losses::Objective;
use super::maps::{MapInfo, MapPass};
use super::phase::Phase;
use crate::config::Config;
use crate::engine::graph::Tensor;
use crate::error::{Error, Result};
use crate::parts::encoders::Encoder;

/// BMP with the walk of AFA.
#[derive(Clone, Copy, Debug)]
pub struct Afa;

impl Method for Afa {
    fn name(&self) -> &str {
        "afa"
    }

    fn check(&self, config: &Config, encoder: &dyn Encoder) -> Result<()> {
        objective::check(config, encoder)?;
        match encoder.score_heads().is_empty() {
            true => {
                let reason = format!("afa needs attention scores, which encoder `{}` does not have", encoder.name());
                Err(Error::config("method.name", reason, "choose bmp, or a MiT encoder"))
            }
            false => Ok(()),
        }
    }

    fn phase(&self, config: &Config, step: usize) -> Phase {
        phase(config, step, true)
    }

    fn marked_parts(&self) -> &[&'static str] {
        &[C2S, S2C, BSP]
    }

    fn record(&self, pass: &TrainPass<'_>) -> Result<Objective> {
        objective::record(pass, Spreading::Walk)
    }

    fn maps(&self) -> &[MapInfo] {
        &MAPS
    }

    fn record_maps(&self, pass: &MapPass<'_>) -> Result<Vec<(&'static str, Tensor)>> {
        objective::record_maps(pass, Spreading::Walk)
    }
}
