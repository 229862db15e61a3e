//! `Annotations/<id>.xml`: the objects of an image, as PASCAL VOC describes them.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::source::{Found, Wanted};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

const FOLDER: &str = "Annotations";

/// The tags, if the folder exists and the images have no masks, which are more complete; see
/// [`Source`](super::source::Source).
pub(crate) fn read(wanted: &Wanted, on_fault: OnFault) -> Result<Option<Found>> {
    let Some(folder) = wanted.at(FOLDER).filter(|_| !wanted.images.have_masks()) else { return Ok(None) };
    let read = |id: &String| objects(&folder.join(format!("{id}.xml"))).map(|names| (id.clone(), names));
    let mut tags = HashMap::new();
    for read in wanted.images.ids.par_iter().map(read).collect::<Vec<_>>() {
        match read {
            Ok((id, names)) => _ = tags.insert(id, names),
            Err(error) => on_fault(error)?,
        }
    }
    let tags = wanted.by_name(&tags, &folder, on_fault)?;
    Ok(Some(wanted.found(tags, &folder)))
}

/// The names of the objects in a PASCAL VOC annotation; not those of their parts.
///
/// # Errors
///
/// If the file cannot be read or is not such an XML file.
fn objects(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    let foreign = |reason: String| Error::data(path, reason, "give PASCAL VOC's <annotation><object><name> files");
    let document =
        roxmltree::Document::parse(&text).map_err(|error| foreign(format!("is not XML ({})", one_line(&error))))?;
    let root = document.root_element();
    if !root.has_tag_name("annotation") {
        return Err(foreign(format!("describes a `{}`, not an image", root.tag_name().name())));
    }
    let objects = root.children().filter(|node| node.has_tag_name("object"));
    let name = |object: roxmltree::Node| {
        object
            .children()
            .find(|node| node.has_tag_name("name"))
            .and_then(|name| name.text().map(|text| text.trim().to_owned()))
    };
    objects.map(|object| name(object).ok_or_else(|| foreign("has an object without a name".into()))).collect()
}
