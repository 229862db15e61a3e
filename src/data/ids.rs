//! Ids of images as other programs write them: with an ending, with folders, or followed by the mask's path.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::data::endings::bare;

/// The ids that a text may mean, the most literal one first: itself, without the ending of an image, and without
/// its first folders. Of a line with the paths of an image and its mask, the first path counts.
pub(super) fn readings(text: &str) -> Vec<String> {
    let is_plain = !text.contains('\\') && !text.split('/').any(|part| part.is_empty() || part == ".");
    let mut found: Vec<String> = is_plain.then(|| text.to_owned()).into_iter().collect();
    let first = text.split_whitespace().next().unwrap_or_default();
    let first = Some(first).filter(|first| *first != text && bare(first) != *first);
    for path in std::iter::once(text).chain(first) {
        let path = path.replace('\\', "/");
        let parts: Vec<&str> = bare(&path).split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        found.extend((0..parts.len()).map(|start| parts[start..].join("/")));
    }
    found
}

/// Adds the endings of files to ids that differ in nothing else.
pub(super) fn make_distinct(ids: &mut [String], paths: &[PathBuf]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    ids.iter().for_each(|id| *counts.entry(id.clone()).or_default() += 1);
    for (id, path) in ids.iter_mut().zip(paths).filter(|(id, _)| counts[*id] > 1) {
        *id = format!("{id}.{}", path.extension().unwrap_or_default().to_string_lossy());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects lists as other programs write them.
    #[test]
    fn paths_are_read_as_ids() {
        for text in ["a", "a.jpg", "./a.JPeG", "JPEGImages/a.png", "C:\\data\\a.jpg", "/JPEGImages/a.jpg /Masks/a.png"]
        {
            let readings = readings(text);
            assert!(readings.contains(&"a".to_owned()), "{text}: {readings:?}");
        }
        assert_eq!(readings("./sub/a"), ["sub/a", "a"], "not a second name of the same file");
        assert_eq!(readings("my photo"), ["my photo", "my photo"], "white space alone separates nothing");
        assert_eq!(readings("v1.2"), ["v1.2", "v1.2"], "not every dot begins an ending");
    }
}
