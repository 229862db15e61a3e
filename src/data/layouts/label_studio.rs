//! Label Studio's exports JSON and JSON-MIN: choices and labels of regions are tags.
//!
//! ```text
//! [{"data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [{"result": […], "was_cancelled": false}]}]
//! [{"image": "…", "choice": "cat", "label": [{"rectanglelabels": ["dog"], …}], "annotator": 1}]
//! ```
//!
//! The tags of several annotations of an image are united. Skipped ones do not count, and images without any other are
//! left out: nobody has said what they show.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Map, Value};

use super::layout::Layout;
use super::listing::{self, Entry, Listing, Named};
use super::lists::Kind;
use crate::config::DataForm;
use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::is_picture;
use crate::data::picture::one_line;
use crate::data::tags::OnFault;
use crate::error::{Error, Result};
use crate::formats::text::read_text;

/// See the module documentation.
pub(crate) const LAYOUT: Layout = Layout {
    form: DataForm::LabelStudio,
    name: "an export of Label Studio",
    description: "Label Studio: its export as JSON beside the images",
    folders: &[],
    sign: |root| KIND.sign(root),
    has_split: |root, split| KIND.has_split(root, split),
    open,
};

const KIND: Kind = Kind {
    name: "Label Studio",
    endings: &["json"],
    names: &["result", "labels", "annotations", "export"],
    looks_right: |text| text.starts_with('[') && MARKS.iter().any(|mark| text.contains(mark)),
    clear: true,
};

/// Keys of which every export has one.
const MARKS: [&str; 5] = ["\"annotations\"", "\"completions\"", "\"annotation_id\"", "\"annotator\"", "\"lead_time\""];

/// Keys of the image, in the order in which they are searched; others are those of a text that ends like a picture.
const IMAGE: [&str; 6] = ["image", "img", "url", "photo", "picture", "image_url"];

/// Opens a split, see [`Dataset::open_reporting`].
fn open(root: &Path, split: &str, options: &DatasetOptions, on_fault: OnFault) -> Result<Dataset> {
    let file = KIND.find(root, split)?;
    let text = read_text(&file)?;
    let foreign = |reason: String| Error::data(&file, reason, "export it as JSON or JSON-MIN");
    let tasks: Vec<Value> = serde_json::from_str(&text)
        .map_err(|error| foreign(format!("is not a list of tasks ({})", one_line(&error))))?;
    let mut opinions: HashMap<String, Vec<BTreeSet<String>>> = HashMap::new();
    let (mut order, mut skipped) = (Vec::new(), Vec::new());
    for (number, task) in (1..).zip(&tasks) {
        let id = task.get("id").filter(|id| id.is_u64() || id.is_string());
        let place = id.map_or_else(|| format!("task number {number}"), |id| format!("task {id}"));
        let Some(task) = task.as_object() else {
            on_fault(foreign(format!("{place} is not an object")))?;
            continue;
        };
        let Some(image) = image_of(task.get("data").and_then(Value::as_object).unwrap_or(task)) else {
            on_fault(foreign(format!("{place} has no image")))?;
            continue;
        };
        let found = opinions_of(task);
        if found.is_empty() {
            skipped.push(image.clone());
            continue;
        }
        if !opinions.contains_key(&image) {
            order.push((image.clone(), place));
        }
        opinions.entry(image).or_default().extend(found);
    }
    let mut notices = Vec::new();
    skipped.retain(|image| !opinions.contains_key(image));
    if let Some(first) = skipped.first() {
        let (count, first) = (skipped.len(), one_line(first));
        notices.push(format!(
            "{count} images have no annotation, or only skipped ones, and are left out, such as {first}"
        ));
    }
    let is_minimal =
        |task: &&Map<String, Value>| !task.contains_key("annotations") && !task.contains_key("completions");
    let texts = tasks.iter().filter_map(Value::as_object).filter(is_minimal).flat_map(|task| {
        let own = task.iter().filter(|(key, value)| value.is_string() && !OTHER_KEYS.contains(&key.as_str()));
        own.filter(|(key, value)| !names_tags(key) && image_of(task).as_deref() != value.as_str()).map(|(key, _)| key)
    });
    let texts: BTreeSet<_> = texts.map(|key| format!("`{}`", one_line(key))).collect();
    if !texts.is_empty() {
        let names = texts.into_iter().collect::<Vec<_>>().join(", ");
        notices.push(format!("{names} is text and not read as tags; call a control of tags `choice` or `label`"));
    }
    let differ = |image: &&(String, String)| opinions[&image.0].windows(2).any(|pair| pair[0] != pair[1]);
    if let Some((first, _)) = order.iter().find(differ) {
        let count = order.iter().filter(differ).count();
        let first = one_line(first);
        notices.push(format!("annotators differ about {count} images, which have the tags of all, such as {first}"));
    }
    let tags_of = |image: &String| opinions[image].iter().flatten().cloned().collect::<BTreeSet<_>>();
    let entries = order.iter().map(|(image, place)| Entry {
        image: Named::Text(image.clone()),
        tags: tags_of(image).into_iter().collect(),
        place: place.clone(),
    });
    let (entries, base) = (entries.collect(), file.parent().unwrap_or(root).to_owned());
    listing::open(root, split, Listing { file: file.clone(), base, classes: None, entries, notices }, options, on_fault)
}

/// The image of a task.
fn image_of(data: &Map<String, Value>) -> Option<String> {
    let usual = IMAGE.iter().find_map(|key| data.get(*key)?.as_str());
    let looks_so = |text: &&str| is_picture(Path::new(text.split(['?', '#']).next().unwrap_or_default()));
    usual.or_else(|| data.values().filter_map(Value::as_str).find(looks_so)).map(str::to_owned)
}

/// The tags of each annotation of a task that was not skipped.
fn opinions_of(task: &Map<String, Value>) -> Vec<BTreeSet<String>> {
    let Some(annotations) = task.get("annotations").or_else(|| task.get("completions")) else {
        // JSON-MIN: the names of controls are keys beside those of the task.
        if task.get("was_cancelled").or_else(|| task.get("skipped")) == Some(&Value::Bool(true)) {
            return Vec::new();
        }
        let mut tags = BTreeSet::new();
        for (key, value) in task {
            // A text may be a choice or belong to the task; the name of its control tells.
            let is_answer = !value.is_string() || names_tags(key);
            if is_answer && !OTHER_KEYS.contains(&key.as_str()) && image_of(task).as_deref() != value.as_str() {
                controls(value, &mut tags);
            }
        }
        return vec![tags];
    };
    let annotations = annotations.as_array().into_iter().flatten();
    let counts = |annotation: &&Value| annotation.get("was_cancelled") != Some(&Value::Bool(true));
    let tags = |annotation: &Value| {
        let mut tags = BTreeSet::new();
        for region in annotation.get("result").and_then(Value::as_array).into_iter().flatten() {
            region.get("value").into_iter().for_each(|value| labels(value, &mut tags));
        }
        tags
    };
    annotations.filter(counts).map(tags).collect()
}

/// Keys of JSON-MIN that are no answers of annotators.
const OTHER_KEYS: [&str; 13] = [
    "id",
    "image",
    "annotator",
    "annotation_id",
    "created_at",
    "updated_at",
    "lead_time",
    "agreement",
    "data",
    "meta",
    "predictions",
    "file_upload",
    "comment",
];

/// Whether a key is called like a control of tags.
fn names_tags(key: &str) -> bool {
    let key = key.to_lowercase();
    ["choice", "label", "tag", "class", "categor"].iter().any(|part| key.contains(part))
}

/// The answer to a control in JSON-MIN: a choice, several choices, or regions with labels.
fn controls(value: &Value, tags: &mut BTreeSet<String>) {
    match value {
        Value::String(choice) => _ = tags.insert(choice.clone()),
        Value::Array(items) => items.iter().for_each(|item| controls(item, tags)),
        Value::Object(_) => labels(value, tags),
        _ => {}
    }
}

/// The names under `choices`, `labels`, `taxonomy` and keys such as `rectanglelabels`.
fn labels(value: &Value, tags: &mut BTreeSet<String>) {
    for (key, names) in value.as_object().into_iter().flatten() {
        if key == "taxonomy" {
            // Each is a path of names, of which the last one is the most precise.
            let paths = names.as_array().into_iter().flatten().filter_map(|path| path.as_array()?.last()?.as_str());
            tags.extend(paths.map(str::to_owned));
        } else if key == "choices" || key.ends_with("labels") {
            let names = names.as_array().into_iter().flatten().chain(names.is_string().then_some(names));
            tags.extend(names.filter_map(Value::as_str).map(str::to_owned));
        }
    }
}
