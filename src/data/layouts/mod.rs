//! Folder layouts of data sets, one per file. A new one needs a file here and an entry in the list of `data::open`.
//!
//! | File | Subject |
//! |---|---|
//! | `layout` | what a layout is |
//! | `voc` | the PASCAL VOC layout |
//! | `coco` | MS-COCO's annotation files |
//! | `folders` | a folder for each class |
//! | `tagged` | images with `labels.json` beside them |

pub(super) mod coco;
pub(super) mod folders;
pub(super) mod layout;
pub(crate) mod tagged;
pub(super) mod voc;
