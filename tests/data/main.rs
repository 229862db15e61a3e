//! Data sets: reading, bad input, augmentation, loading, the generated shapes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod augment;
mod coco;
mod folder;
mod folders;
mod forms;
mod images;
mod loader;
mod npy;
mod official;
mod palette;
mod shapes;
mod voc;
