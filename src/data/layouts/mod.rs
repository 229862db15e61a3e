//! Folder layouts of data sets, one per file. A new one needs a file here and an entry in the list of `data::open`.
//!
//! | File | Subject |
//! |---|---|
//! | `layout` | what a layout is |
//! | `voc` | the PASCAL VOC layout |
//! | `coco` | MS-COCO's annotation files |
//! | `folders` | a folder for each class |
//! | `csv`, `jsonl` | a table of tags; a JSON object for each image |
//! | `yolo` | `data.yaml` and a text file for each image |
//! | `label_studio`, `cvat` | exports of annotation tools |
//! | `tagged` | images with `labels.json` beside them |
//! | `listing` | what five of them share: a file that lists images with tags |
//! | `lists` | where the file of a split is |

pub(super) mod coco;
pub(super) mod csv;
pub(super) mod cvat;
pub(super) mod folders;
pub(super) mod jsonl;
pub(super) mod label_studio;
pub(super) mod layout;
mod listing;
mod lists;
pub(super) mod tagged;
pub(super) mod voc;
pub(super) mod yolo;
