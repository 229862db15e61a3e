//! The functions of the page, on any device: [`Network`] segments pictures, [`Lesson`] trains on generated ones.
//!
//! Built for a browser, `page` exports both to JavaScript. Built natively, a test compares their results
//! with those in the browser.

mod lesson;
mod network;
#[cfg(target_arch = "wasm32")]
mod page;

pub use lesson::{Glimpse, Lesson};
pub use network::{Network, Sight};
