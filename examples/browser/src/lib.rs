//! What the page does, on any device: [`Network`] looks at pictures, [`Lesson`] learns from generated ones.
//!
//! Built for a browser, `page` gives both to JavaScript. Built for this machine, a test compares what they compute here
//! with what they compute there.

mod lesson;
mod network;
#[cfg(target_arch = "wasm32")]
mod page;

pub use lesson::{Glimpse, Lesson};
pub use network::{Network, Sight};
