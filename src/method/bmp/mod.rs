//! BMP: a network of two branches that supervise each other (method.md 2 to 7).

mod definition;
mod labels;
mod losses;
pub(crate) mod objective;
mod schedule;

pub use definition::Bmp;
pub use labels::Spreading;
pub use objective::MAPS;
pub use schedule::{AFF, BSP, C2S, S2C, phase};
