//! The ranks of a session, and how values of its engine are exchanged with them.

use super::interface::Exchange;
use super::sum::{sum_f32, sum_f64};
use super::world::World;
use crate::error::Result;

/// The ranks that run the graphs of a session together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) world: World,
    /// Whether the device replaces numbers below the normal ones by zero. Sums on the host do the same, so that they have
    /// the bits of sums on the device.
    pub(crate) flushes: bool,
}

impl Peers {
    /// Exchanges f32 values, as bytes.
    pub(crate) fn f32(&self, exchange: Exchange, own: &[u8]) -> Result<Vec<u8>> {
        match exchange {
            Exchange::Gather => self.world.all_gather(own),
            Exchange::Sum => sum_f32(&*self.world, own, self.flushes),
        }
    }

    /// Exchanges f64 values.
    pub(crate) fn f64(&self, exchange: Exchange, own: &[f64]) -> Result<Vec<f64>> {
        let bytes = bytemuck::cast_slice(own);
        let all = match exchange {
            Exchange::Gather => self.world.all_gather(bytes)?,
            Exchange::Sum => sum_f64(&*self.world, bytes)?,
        };
        Ok(bytemuck::pod_collect_to_vec(&all))
    }
}
