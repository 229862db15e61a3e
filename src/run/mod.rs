//! A method in use: runs, scores, records, pages.

#[cfg(feature = "native")]
pub mod bench;
#[cfg(feature = "native")]
pub mod device;
pub mod eval;
pub mod report;
pub mod train;
#[cfg(feature = "native")]
pub mod tune;
#[cfg(feature = "native")]
pub mod verify;
pub mod weights;
