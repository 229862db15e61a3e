//! Folder layouts of data sets, one per file. A new one needs a file here and an entry in the list of `data::open`.
//!
//! | File | Subject |
//! |---|---|
//! | `layout` | what a layout is |
//! | `voc` | the PASCAL VOC layout |
//! | `coco` | MS-COCO's annotation files |
//! | `folders` | a folder for each class |

pub(super) mod coco;
pub(super) mod folders;
pub(super) mod layout;
pub(super) mod voc;
