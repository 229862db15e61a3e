//! Sources of tags, one per module; `data::tag_source` decides which of them is used.
//!
//! | File | Content |
//! |---|---|
//! | `labels.json` | `{"classes": [name, …], "tags": {id: [name, …], …}}`; with `classes` alone it only names them |
//! | `cls_labels_onehot.npy` | a pickled dictionary from ids to vectors of K numbers (method.md 8.1) |
//! | `<split>.npy` | a matrix of K columns, a row for each line of `<split>.txt` |
//! | `labels.csv` | rows of an id and its tags |
//! | `Annotations/<id>.xml` | the objects of an image, as PASCAL VOC describes them |
//!
//! If none of them exists, tags are derived from the masks.

pub(super) mod annotations;
mod columns;
pub(super) mod csv;
pub(super) mod labels;
pub(super) mod masks;
pub(super) mod matrix;
pub(super) mod onehot;
pub(super) mod source;
