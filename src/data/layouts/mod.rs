//! How folders hold data sets: one layout a file. A new one needs a file here and a place in the list of `data::open`.
//!
//! | File | Subject |
//! |---|---|
//! | `layout` | what a layout is |
//! | `voc` | the PASCAL VOC layout |
//! | `coco` | MS-COCO's files of objects |

pub(super) mod coco;
pub(super) mod layout;
pub(super) mod voc;
