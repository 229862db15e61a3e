//! The pictures in a folder, found by names as other programs write them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::endings::{FORMATS, bare, is_picture, is_unread_picture};
use crate::data::tags::composed;
use crate::error::{Error, Result};

/// The error for pictures in formats that are not read, so many like the first, where there are no others.
pub(super) fn unread(first: &Path, count: usize) -> Error {
    let all = if count == 1 { String::new() } else { format!(", nor are {} others beside it", count - 1) };
    Error::data(first, format!("is not {FORMATS}{all}"), "write them as JPEG or PNG")
}

/// All pictures below a folder, without those in hidden folders, sorted.
pub(super) struct Pictures {
    root: PathBuf,
    files: Vec<PathBuf>,
    /// Indices by file name, and by file name without ending; both in lower case, with accents as parts of letters.
    by_name: HashMap<String, Vec<usize>>,
    by_bare_name: HashMap<String, Vec<usize>>,
    /// Pictures in formats that are not read.
    pub(super) unread: Vec<PathBuf>,
}

/// How a name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Index of the picture.
    pub(super) picture: usize,
    /// Whether the name has another capitalisation than the file.
    pub(super) recased: bool,
}

/// Why a name was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// No picture has this name.
    Missing,
    /// Two pictures could be meant.
    Ambiguous(PathBuf, PathBuf),
}

impl Pictures {
    /// The pictures below `root`.
    ///
    /// # Errors
    ///
    /// If a folder cannot be read.
    pub(super) fn below(root: &Path) -> Result<Self> {
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        collect(root, &mut |path| {
            if is_picture(&path) {
                files.push(path);
            } else if is_unread_picture(&path) {
                unread.push(path);
            }
        })?;
        let (mut by_name, mut by_bare_name) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (index, path) in files.iter().enumerate() {
            let name = composed(&path.file_name().unwrap_or_default().to_string_lossy().to_lowercase());
            by_bare_name.entry(bare(&name).to_owned()).or_default().push(index);
            by_name.entry(name).or_default().push(index);
        }
        Ok(Pictures { root: root.to_owned(), files, by_name, by_bare_name, unread })
    }

    /// Number of pictures.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The file of a picture.
    pub(super) fn path(&self, picture: usize) -> &Path {
        &self.files[picture]
    }

    /// The path of a picture below the root, with `/`.
    pub(super) fn relative(&self, picture: usize) -> String {
        let path = &self.files[picture];
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// The picture that a text names: a path of any system, relative to `base`, to the root or to a folder elsewhere; the
    /// address of a picture, percent-encoded; a name without ending. The most literal reading that finds one counts.
    ///
    /// # Errors
    ///
    /// If none or several are found.
    pub(super) fn find(&self, text: &str, base: &Path) -> std::result::Result<Hit, Miss> {
        for reading in readings(text) {
            match self.find_path(&composed(&reading), base) {
                Err(Miss::Missing) => {}
                found => return found,
            }
        }
        Err(Miss::Missing)
    }

    /// The picture whose path ends with `path` or is an end of it, in the same capitalisation if there is one.
    fn find_path(&self, path: &str, base: &Path) -> std::result::Result<Hit, Miss> {
        let wanted = parts(path);
        let Some(name) = wanted.last().map(|name| name.to_lowercase()) else { return Err(Miss::Missing) };
        let named = self.by_name.get(&name);
        let bares = named.is_none();
        let candidates = named.or_else(|| self.by_bare_name.get(&name)).map_or(&[][..], Vec::as_slice);
        for folded in [false, true] {
            let ranks: Vec<_> =
                candidates.iter().map(|index| (self.likeness(*index, &wanted, base, bares, folded), *index)).collect();
            let best = ranks.iter().filter_map(|(rank, _)| *rank).max();
            let tied: Vec<usize> =
                ranks.iter().filter(|(rank, _)| rank.is_some() && *rank == best).map(|(_, index)| *index).collect();
            match tied[..] {
                [] => {}
                [picture] => return Ok(Hit { picture, recased: folded }),
                [one, other, ..] => return Err(Miss::Ambiguous(self.files[one].clone(), self.files[other].clone())),
            }
        }
        Err(Miss::Missing)
    }

    /// How well a picture fits the parts of a path, if at all: whether it is the path from `base`, whether it is that from
    /// the root, and the number of common parts at the end. Folders that merely hold pictures may be missing in the path.
    fn likeness(
        &self,
        index: usize,
        wanted: &[&str],
        base: &Path,
        bares: bool,
        folded: bool,
    ) -> Option<(bool, bool, usize)> {
        let relative = composed(&self.relative(index));
        let own: Vec<&str> = relative.split('/').collect();
        let same = |place: usize, a: &str, b: &str| {
            let (a, b) = if bares && place == 0 { (bare(a), b) } else { (a, b) };
            a == b || folded && a.to_lowercase() == b.to_lowercase()
        };
        let common = |own: &[&str]| {
            own.iter()
                .rev()
                .zip(wanted.iter().rev())
                .enumerate()
                .take_while(|(place, (a, b))| same(*place, a, b))
                .count()
        };
        let shared = common(&own);
        let holders =
            own.iter().take(own.len() - 1).take_while(|part| HOLDERS.contains(&&*part.to_lowercase())).count();
        if shared == 0 || shared < wanted.len() && shared < own.len() - holders {
            return None;
        }
        let from_base = self.files[index].strip_prefix(base).map(|path| path.components().count());
        let whole = shared == wanted.len();
        Some((whole && from_base == Ok(wanted.len()), whole && own.len() == wanted.len(), shared))
    }
}

/// Names of folders that merely hold pictures.
const HOLDERS: [&str; 10] =
    ["images", "image", "img", "imgs", "jpegimages", "photos", "pictures", "data", "upload", "media"];

/// Whether a file is hidden, such as those that file managers leave behind.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Calls a function for every file below a folder, sorted, without hidden ones.
pub(super) fn collect(folder: &Path, found: &mut dyn FnMut(PathBuf)) -> Result<()> {
    let mut entries = fs::read_dir(folder)
        .map_err(Error::io(folder))?
        .map(|entry| Ok(entry.map_err(Error::io(folder))?.path()))
        .collect::<Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if is_hidden(&path) || path.file_name().is_some_and(|name| name == "__MACOSX") {
            continue;
        }
        if !path.is_dir() {
            found(path);
        } else if !path.is_symlink() || !leads_up(&path, folder) {
            // Other links could lead around in a circle.
            collect(&path, found)?;
        }
    }
    Ok(())
}

/// Whether a link leads to a folder that it is in.
fn leads_up(link: &Path, parent: &Path) -> bool {
    let (Ok(target), Ok(parent)) = (link.canonicalize(), parent.canonicalize()) else { return true };
    parent.starts_with(target)
}

/// The parts of a path, without those that do not name a folder or file.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part if part.len() == 2 && part.ends_with(':') => {}
            part => parts.push(part),
        }
    }
    parts
}

/// The paths that a text may mean, the most literal one first.
fn readings(text: &str) -> Vec<String> {
    let mut found = vec![text.trim().to_owned()];
    let mut add = |reading: Option<String>| {
        if let Some(reading) = reading.filter(|reading| !found.contains(reading)) {
            found.push(reading);
        }
    };
    // Label Studio's local files, and what follows an address.
    let address = text.trim();
    let local = address.split_once("?d=").or_else(|| address.split_once("&d=")).map(|(_, path)| path);
    add(local.map(str::to_owned));
    add(local.and_then(decoded));
    add(decoded(address));
    let plain = address.contains("://").then(|| address.split(['?', '#']).next().unwrap_or_default());
    add(plain.map(str::to_owned));
    add(plain.and_then(decoded));
    // Label Studio's uploads begin with eight hexadecimal digits.
    for reading in found.clone() {
        let name = reading.rsplit(['/', '\\']).next().unwrap_or_default();
        let stripped = name.split_once('-').filter(|(hash, _)| hash.len() == 8 && is_hexadecimal(hash));
        if let Some((_, name)) = stripped
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
        }
    }
    found
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A text without percent encoding, if it has any that is valid.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code =
            bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.filter(|code| is_hexadecimal(code)).and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: names as other programs write them find the picture that they mean, and no other.
    #[test]
    fn names_are_found_as_other_programs_write_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a/x.jpg", "b/x.jpg", "b/my photo.png", "Car.JPG", "50%.png", "c/Y.png", "c/y.png", "cafe\u{301}.png"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let pictures = Pictures::below(folder.path()).unwrap();
        let find = |text: &str| match pictures.find(text, folder.path()) {
            Ok(hit) => format!("{}{}", pictures.relative(hit.picture), if hit.recased { " recased" } else { "" }),
            Err(Miss::Missing) => "missing".into(),
            Err(Miss::Ambiguous(..)) => "ambiguous".into(),
        };
        for (text, expected) in [
            ("a/x.jpg", "a/x.jpg"),
            (r".\b\x.jpg", "b/x.jpg"),
            (r"C:\data\set\b\x.jpg", "b/x.jpg"),
            ("x.jpg", "ambiguous"),
            ("b/x", "b/x.jpg"),
            ("/data/local-files/?d=set%2Fb/my%20photo.png", "b/my photo.png"),
            ("/data/upload/1/0a1b2c3d-my%20photo.png", "b/my photo.png"),
            ("https://example.org/b/my%20photo.png?size=2", "b/my photo.png"),
            ("s3://bucket/b/my photo", "b/my photo.png"),
            ("s3://bucket/my photo", "missing"),
            ("50%.png", "50%.png"),
            ("car.jpg", "Car.JPG recased"),
            ("c/Y.png", "c/Y.png"),
            ("Y.PNG", "ambiguous"),
            // macOS stores accents apart from letters.
            ("caf\u{e9}.png", "cafe\u{301}.png"),
            ("CAF\u{c9}", "cafe\u{301}.png recased"),
            ("z.jpg", "missing"),
            // Not the picture of the same name in another folder.
            ("z/x.jpg", "missing"),
            ("", "missing"),
        ] {
            assert_eq!(find(text), expected, "{text}");
        }
        assert_eq!(pictures.find("x.jpg", &folder.path().join("b")), pictures.find("b/x.jpg", folder.path()));
    }
}
