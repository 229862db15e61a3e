//! Everything around a method: training runs, evaluation, records and report pages.
//!
//! Lowest first: `weights`, `record`, `report`, `export`, `eval`, `train`; all other modules use these.

#[cfg(feature = "native")]
pub mod ablate;
#[cfg(feature = "native")]
pub mod bench;
#[cfg(feature = "native")]
pub mod bundled;
#[cfg(feature = "native")]
pub mod compare;
#[cfg(feature = "native")]
pub mod demo;
#[cfg(feature = "native")]
pub mod device;
pub mod eval;
#[cfg(feature = "native")]
pub mod export;
#[cfg(feature = "native")]
pub mod launch;
#[cfg(feature = "native")]
pub mod page;
pub mod record;
pub mod report;
#[cfg(feature = "native")]
pub mod tag;
pub mod train;
#[cfg(feature = "native")]
pub mod tune;
#[cfg(feature = "native")]
pub mod verify;
pub mod weights;
