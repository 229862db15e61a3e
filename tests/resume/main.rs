//! Runs that survive anything: killed, stopped, cramped, damaged, and in the end the same to the last bit.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod damaged;
mod full_disk;
mod kernels;
mod killed;
mod place;
mod refused;
mod stopped;
