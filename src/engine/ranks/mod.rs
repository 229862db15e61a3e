//! The processes that train one network together, and what they exchange.

mod alone;
mod interface;
#[cfg(feature = "mpi")]
mod mpi;
mod peers;
mod sum;
mod world;

pub use alone::Alone;
pub use interface::{Exchange, Ranks};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub(crate) use peers::Peers;
pub use world::World;
