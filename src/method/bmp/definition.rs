//! BMP as a method: its phases, groups, losses and maps.

use super::labels::Spreading;
use super::objective::{self, MAPS};
use super::schedule::{BSP, C2S, S2C, phase};
use crate::config::{Config, Propagation};
use crate::engine::graph::Tensor;
use crate::error::Result;
use crate::method::definition::{Method, TrainPass};
use crate::method::losses::Objective;
use crate::method::maps::{MapInfo, MapPass};
use crate::method::phase::Phase;
use crate::parts::encoders::Encoder;

/// BMP.
#[derive(Clone, Copy, Debug)]
pub struct Bmp;

impl Method for Bmp {
    fn name(&self) -> &str {
        "bmp"
    }

    fn check(&self, config: &Config, encoder: &dyn Encoder) -> Result<()> {
        objective::check(config, encoder)
    }

    fn phase(&self, config: &Config, step: usize) -> Phase {
        phase(config, step, config.propagation == Propagation::Bsp)
    }

    fn marked_parts(&self) -> &[&'static str] {
        &[C2S, S2C, BSP]
    }

    fn record(&self, pass: &TrainPass<'_>) -> Result<Objective> {
        objective::record(pass, Spreading::Background)
    }

    fn maps(&self) -> &[MapInfo] {
        &MAPS
    }

    fn record_maps(&self, pass: &MapPass<'_>) -> Result<Vec<(&'static str, Tensor)>> {
        objective::record_maps(pass, Spreading::Background)
    }
}
