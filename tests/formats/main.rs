//! What the program writes for other programs, read by these: `make test-formats`. The readers are installed by
//! `scripts/format-readers.sh` and `scripts/transformers.sh`; without them, these tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod masks;
mod networks;
mod onnx;
mod place;
mod tensorboard;
mod transformers;
