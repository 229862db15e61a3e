//! Masks in the forms of other programs (`docs/formats.md`).

mod areas;
mod coco;
mod cvat;
mod files;
mod form;
mod label_studio;
mod pictures;
mod writer;
mod xml;
mod yolo;

pub use files::Export;
pub use form::{Arrangement, Form};
pub use writer::Labelled;
pub(crate) use writer::create_folder_of;
