//! A data set in a temporary folder, made and broken by the tests.

use std::fs;
use std::path::{Path, PathBuf};

use tagseg::data::palette::write_index_png;
use tagseg::data::{Dataset, DatasetOptions, Mask, Rgb8};

/// The data set's folder; it is removed when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub fn empty() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    /// Three images of 6x4 pixels (width x height) of the classes cat and dog, with masks and tags; the split is
    /// `train`.
    pub fn new() -> Self {
        let folder = Self::empty();
        folder.write("ImageSets/Segmentation/train.txt", "a\nb\nc\n");
        folder.write(
            "labels.json",
            r#"{"classes": ["cat", "dog"], "tags": {"a": ["cat"], "b": ["dog", "cat"], "c": []}}"#,
        );
        for (id, values) in [("a", [1, 255]), ("b", [2, 1]), ("c", [0, 0])] {
            folder.image(id, 4, 6);
            folder.mask(id, 4, 6, values);
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at(name), content).unwrap();
    }

    pub fn remove(&self, name: &str) {
        let path = self.path().join(name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }

    pub fn image(&self, id: &str, height: usize, width: usize) {
        let first = id.bytes().next().unwrap();
        let data = (0..height * width * 3).map(|place| first.wrapping_mul(7).wrapping_add(place as u8)).collect();
        Rgb8::new(height, width, data).write_png(&self.at(&format!("JPEGImages/{id}.png"))).unwrap();
    }

    /// A mask of background except for its first two pixels.
    pub fn mask(&self, id: &str, height: usize, width: usize, values: [u8; 2]) {
        let mut data = vec![0; height * width];
        data[..2].copy_from_slice(&values);
        write_index_png(&self.at(&format!("SegmentationClassAug/{id}.png")), &Mask::new(height, width, data)).unwrap();
    }

    pub fn open(&self) -> tagseg::Result<Dataset> {
        Dataset::open(self.path(), "train", &DatasetOptions::default())
    }

    /// The message with which the data set cannot be opened.
    pub fn refusal(&self) -> String {
        message(self.open())
    }
}

/// The message of an error, which must be one line.
pub fn message<T>(result: tagseg::Result<T>) -> String {
    let text = result.err().expect("this must fail").to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

/// Checks that a message contains all `parts`.
#[track_caller]
pub fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{message}` does not name `{part}`");
    }
}
