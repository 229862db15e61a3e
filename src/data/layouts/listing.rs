//! A file that lists images with tags: what the forms have in common that have no layout of folders.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::data::dataset::{Dataset, DatasetOptions};
use crate::data::endings::{FORMATS, bare};
use crate::data::files::{Miss, Pictures};
use crate::data::ids::make_distinct;
use crate::data::images::{Images, NoMasks};
use crate::data::picture::one_line;
use crate::data::tags::{OnFault, Tags, check_classes, composed};
use crate::error::{Error, Result};

/// Images with tags, as a file lists them.
pub(super) struct Listing {
    /// The file, for messages.
    pub(super) file: PathBuf,
    /// The folder that names of images are relative to.
    pub(super) base: PathBuf,
    /// The classes, if the file declares them, in their order; otherwise all tags are, sorted.
    pub(super) classes: Option<Vec<String>>,
    pub(super) entries: Vec<Entry>,
    pub(super) notices: Vec<String>,
}

/// Folders of splits that are not trained on.
const OTHER_SPLITS: [&str; 4] = ["val", "valid", "validation", "test"];

/// An image with its tags.
pub(super) struct Entry {
    pub(super) image: Named,
    pub(super) tags: Vec<String>,
    /// Where in the file it is, for messages.
    pub(super) place: String,
}

/// How an entry names its image.
pub(super) enum Named {
    /// As another program wrote it.
    Text(String),
    /// The file itself.
    File(PathBuf),
}

/// Opens the images of a listing. Several entries of one image are united.
///
/// # Errors
///
/// If no image is left, or the classes cannot be used; errors of single entries are passed to `on_fault`.
pub(super) fn open(
    root: &Path,
    split: &str,
    listing: Listing,
    options: &DatasetOptions,
    on_fault: OnFault,
) -> Result<Dataset> {
    let Listing { file, base, classes, entries, mut notices } = listing;
    if entries.is_empty() {
        return Err(Error::data(file, format!("lists no image of split `{split}`"), "list images with their tags"));
    }
    let pictures = Pictures::below(root)?;
    let (mut rows, mut paths, mut tags) = (HashMap::new(), Vec::new(), Vec::<Vec<String>>::new());
    let (mut repeated, mut recased) = (0, Vec::new());
    for Entry { image, tags: names, place } in entries {
        let path = match image {
            Named::File(path) => path,
            Named::Text(text) => match pictures.find(&text, &base) {
                Ok(hit) => {
                    if hit.recased {
                        recased.push(text);
                    }
                    pictures.path(hit.picture).to_owned()
                }
                Err(miss) => {
                    on_fault(missing(&file, root, &place, &text, &miss, &pictures))?;
                    continue;
                }
            },
        };
        let row = *rows.entry(path.clone()).or_insert(tags.len());
        if row == tags.len() {
            paths.push(path);
            tags.push(Vec::new());
        } else {
            repeated += 1;
        }
        tags[row].extend(names.into_iter().map(|name| composed(name.trim())));
    }
    if paths.is_empty() {
        return Err(Error::data(file, format!("lists no image of split `{split}` that is here"), "add the images"));
    }
    if repeated > 0 {
        notices.push(format!("{repeated} entries name an image again; each image has the tags of all of its entries"));
    }
    if let Some(first) = recased.first() {
        let count = recased.len();
        notices.push(format!("{count} names differ from their files in capitalisation, such as `{}`", one_line(first)));
    }
    let listed: HashSet<&PathBuf> = paths.iter().collect();
    let of_others = |name: &str| OTHER_SPLITS.iter().any(|other| name.split('/').any(|part| part == *other));
    let unlisted: Vec<usize> = (0..pictures.len())
        .filter(|picture| !listed.contains(&pictures.path(*picture).to_owned()))
        .filter(|picture| split == "train" && !of_others(&pictures.relative(*picture)))
        .collect();
    if let Some(first) = unlisted.first() {
        let (count, first) = (unlisted.len(), pictures.relative(*first));
        notices.push(format!("{count} pictures are not listed and not used, such as {first}"));
    }

    let mut ids: Vec<String> = paths.iter().map(|path| bare(&below(path, root)).to_owned()).collect();
    make_distinct(&mut ids, &paths);
    let classes = chosen(&file, classes, &mut tags, options, &mut notices)?;
    let named: HashMap<String, Vec<String>> = ids.iter().cloned().zip(tags).collect();
    let tags = Tags::by_name(classes, &ids, &file, &named, on_fault)?;
    let masks = NoMasks::new(root, "tags alone have no masks");
    let images = Images::new(root, split, ids, paths, masks).turned(true);
    Ok(Dataset::new(images, tags, notices))
}

/// The classes of a data set: those of a trained model, those that the file declares, or all tags. The background is no
/// class, and images that are tagged with it show none.
fn chosen(
    file: &Path,
    declared: Option<Vec<String>>,
    tags: &mut [Vec<String>],
    options: &DatasetOptions,
    notices: &mut Vec<String>,
) -> Result<Vec<String>> {
    let is_background = |name: &String| name.trim().eq_ignore_ascii_case("background");
    let before: usize = tags.iter().map(Vec::len).sum();
    tags.iter_mut().for_each(|tags| tags.retain(|tag| !is_background(tag)));
    if before > tags.iter().map(Vec::len).sum() {
        notices.push("the tag `background` is no class: it stands for no tags".to_owned());
    }
    if let Some(expected) = &options.classes {
        return Ok(expected.clone());
    }
    let all: BTreeSet<&String> = tags.iter().flatten().collect();
    let own = match declared {
        Some(names) => names.iter().map(|name| composed(name.trim())).filter(|name| !is_background(name)).collect(),
        None => all.iter().map(|name| (*name).clone()).collect::<Vec<_>>(),
    };
    if own.is_empty() {
        return Err(Error::data(file, "gives no image a tag", "tag some of the images"));
    }
    check_classes(&own, file)?;
    Ok(own)
}

fn missing(file: &Path, root: &Path, place: &str, text: &str, miss: &Miss, pictures: &Pictures) -> Error {
    let name = one_line(&text);
    match miss {
        Miss::Ambiguous(one, other) => {
            let [one, other] = [one, other].map(|path| below(path, root));
            let reason = format!("{place} names the image `{name}`, which may be {one} or {other}");
            Error::data(file, reason, "give the path from the folder of this file")
        }
        Miss::Missing => {
            let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
            let wanted = stem(Path::new(&text.replace('\\', "/")));
            let unread = pictures.unread.iter().find(|path| stem(path) == wanted);
            let why = unread.map_or(String::new(), |path| format!(" ({} is not {FORMATS})", below(path, root)));
            let reason = format!("{place} names the image `{name}`, which is missing in {}{why}", root.display());
            Error::data(file, reason, "add the image, or remove the entry")
        }
    }
}

/// A path below the root, with `/`.
pub(super) fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
