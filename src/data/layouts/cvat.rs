//! CVAT's export "CVAT for images 1.1": an XML file of images with tags and shapes, all of which give tags.

use std::path::Path;

use roxmltree::Node;

use super::layout::Layout;
use super::listing::{self, Entry, Listing, Named};
use super::lists::{Kind, names_split};
use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::Cvat,
    name: "an export of CVAT",
    description: "CVAT for images: annotations.xml",
    folders: &[],
    sign: |root| KIND.sign(root),
    has_split: |root, split| KIND.has_split(root, split),
    open,
};

const KIND: Kind = Kind {
    name: "CVAT for images",
    endings: &["xml"],
    names: &["annotations"],
    looks_right: |text| text.contains("<annotations"),
    clear: true,
};

/// Elements of an image that have a label.
const SHAPES: [&str; 9] = ["tag", "box", "polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask"];

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let file = KIND.find(root, split)?;
    let text = read_text(&file)?;
    let document = roxmltree::Document::parse(&text)
        .map_err(|error| Error::data(&file, format!("is not XML ({})", one_line(&error)), "export it again"))?;
    let top = document.root_element();
    let foreign = |reason: &str| Error::data(&file, reason, "export it as `CVAT for images 1.1`");
    if !top.has_tag_name("annotations") {
        return Err(foreign("is not an export of CVAT"));
    }
    if top.children().any(|node| node.has_tag_name("track")) {
        return Err(foreign("has tracks of a video"));
    }
    let has_file =
        file.parent() == Some(root) && file.file_stem().is_some_and(|stem| names_split(&stem.to_string_lossy(), split));
    let (mut entries, mut others, mut notices) = (Vec::new(), 0, Vec::new());
    for image in top.children().filter(|node| node.has_tag_name("image")) {
        let line = document.text_pos_at(image.range().start).row;
        let Some(name) = image.attribute("name") else {
            on_fault(foreign(&format!("line {line} has an image without a name")))?;
            continue;
        };
        // Projects export the subsets of their tasks together; `default` is that of tasks without one.
        let subset = image.attribute("subset").filter(|subset| !subset.eq_ignore_ascii_case("default"));
        if subset.is_some_and(|subset| !has_file && !names_split(subset, split)) {
            others += 1;
            continue;
        }
        let mut tags = Vec::new();
        // A shape that is outside of the image shows nothing.
        let shapes = image.children().filter(|node| SHAPES.contains(&node.tag_name().name()));
        for shape in shapes.filter(|shape| shape.attribute("outside") != Some("1")) {
            match shape.attribute("label") {
                Some(label) => tags.push(label.to_owned()),
                None => {
                    let (line, shape) = (document.text_pos_at(shape.range().start).row, shape.tag_name().name());
                    on_fault(foreign(&format!("line {line} has a `{shape}` without a label")))?;
                }
            }
        }
        entries.push(Entry { image: Named::Text(name.to_owned()), tags, place: format!("line {line}") });
    }
    if others > 0 {
        notices.push(format!("{others} images are of other subsets than `{split}`"));
    }
    let base = file.parent().unwrap_or(root).to_owned();
    let classes = declared(top);
    listing::open(root, split, Listing { file: file.clone(), base, classes, entries, notices }, options, on_fault)
}

/// The labels in the head of the file, without those of the parts of skeletons.
fn declared(top: Node) -> Option<Vec<String>> {
    let meta = top.children().find(|node| node.has_tag_name("meta"))?;
    let labels = meta.descendants().filter(|node| node.has_tag_name("label"));
    let whole = labels.filter(|label| !label.children().any(|node| node.has_tag_name("parent")));
    let names = whole.filter_map(|label| label.children().find(|node| node.has_tag_name("name"))?.text());
    let mut found: Vec<String> = Vec::new();
    for name in names.map(|name| name.trim().to_owned()) {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    (!found.is_empty()).then_some(found)
}
