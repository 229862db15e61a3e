//! Tags from the masks: an image has the tag of every class that its mask shows.

use rayon::prelude::*;

use super::labels;
use super::source::{Found, Wanted};
use crate::data::tags::{MAX_CLASSES, OnFault, Tags, classes_shown, numbered_classes};
use crate::error::{Error, Result};

/// Derives the tags; errors of single masks are passed to `on_fault`.
///
/// # Errors
///
/// Those of `on_fault`, and if no mask shows a class.
pub(crate) fn derive(wanted: &Wanted, on_fault: OnFault) -> Result<Found> {
    let images = wanted.images;
    let limit = wanted.classes.as_ref().map_or(MAX_CLASSES, Vec::len);
    let derive = |index| Ok(classes_shown(&images.mask_within(index, limit)?));
    let mut shown: Vec<Vec<u8>> = Vec::with_capacity(images.len());
    for derived in (0..images.len()).into_par_iter().map(derive).collect::<Vec<_>>() {
        shown.push(derived.or_else(|error| on_fault(error).map(|()| Vec::new()))?);
    }
    let largest = shown.iter().flatten().copied().max().map_or(0, usize::from);
    let classes = wanted.classes.clone().unwrap_or_else(|| numbered_classes(largest));
    let count = classes.len();
    if count == 0 {
        let reason = format!("the masks of split `{}` show no class", images.split);
        return Err(Error::data(&images.root, reason, "add masks with values above 0, or tags in labels.json"));
    }
    let notice = format!("{} has no tags; they were derived from the masks ({count} classes)", labels::FILE);
    Ok(Found { tags: Tags::of_values(classes, shown), notice: Some(notice) })
}
