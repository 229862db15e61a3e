//! Interrupted runs (killed, stopped, full disk, damaged files) resume bit-identically.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod damaged;
mod full_disk;
mod kernels;
mod killed;
mod patience;
mod place;
mod refused;
mod stopped;
