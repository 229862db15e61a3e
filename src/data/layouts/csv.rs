//! A table of tags beside its images: CSV or TSV, as `data::tag_sources::csv` reads them.
//!
//! ```text
//! labels.csv | train.csv | train/metadata.csv | train/_classes.csv | …     rows of an image and its tags
//! <any folder>/<name>                                                       images
//! ```

use std::path::Path;

use super::layout::Layout;
use super::listing::{self, Entry, Listing, Named};
use super::lists::{Kind, names_split};
use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::files::Pictures;
use crate::data::tag_sources::csv::read_table;
use crate::data::tags::OnFault;
use crate::error::Result;

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Csv,
    name: "a table of tags",
    description: "a table: labels.csv with rows of `file name,tag`",
    folders: &[],
    sign: |root| KIND.sign(root),
    has_split: |root, split| KIND.has_split(root, split),
    open,
};

const KIND: Kind = Kind {
    name: "tables",
    endings: &["csv", "tsv"],
    names: &["labels", "metadata", "_classes", "tags", "annotations", "classes"],
    looks_right: |_| true,
    clear: false,
};

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let file = KIND.find(root, split)?;
    let base = file.parent().unwrap_or(root).to_owned();
    let pictures = Pictures::below(root)?;
    let id_of = |text: &str| pictures.find(text, &base).ok().map(|hit| pictures.relative(hit.picture));
    let read = read_table(&file, root, &id_of, options.classes.as_deref(), on_fault)?;
    let (mut entries, mut others, mut notices) = (Vec::new(), 0, vec![format!("tags: {}", read.notice)]);
    for row in read.rows {
        if row.split.as_ref().is_some_and(|own| !own.is_empty() && !names_split(own, split)) {
            others += 1;
            continue;
        }
        entries.push(Entry { image: Named::Text(row.image), tags: row.tags, place: format!("line {}", row.line) });
    }
    if others > 0 {
        notices.push(format!("{others} lines are of other splits than `{split}`"));
    }
    listing::open(root, split, Listing { file, base, classes: read.classes, entries, notices }, options, on_fault)
}
