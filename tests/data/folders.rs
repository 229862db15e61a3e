//! A folder for each class.

use std::fs;

use tagseg::data::{Dataset, DatasetOptions, Rgb8};

use crate::folder::{Folder, assert_names, message};

/// A picture of one colour.
fn picture(folder: &Folder, name: &str, level: u8) {
    Rgb8::new(4, 6, vec![level; 72]).write_png(&folder.at(name)).unwrap();
}

fn tags(dataset: &Dataset) -> Vec<(String, Vec<String>)> {
    let names = |index| {
        let tags = dataset.tags(index).iter().zip(dataset.classes());
        tags.filter(|(tag, _)| **tag > 0.5).map(|(_, name)| name.clone()).collect()
    };
    dataset.ids().iter().cloned().zip((0..dataset.len()).map(names)).collect()
}

fn open(folder: &Folder, split: &str) -> tagseg::Result<Dataset> {
    Dataset::open(folder.path(), split, &DatasetOptions::default())
}

/// Protects: tags are names of folders; a picture in several folders has several tags, known by its content and not by
/// its name; subfolders belong to their class; `background` is no class; hidden and other files are left out.
#[test]
fn tags_are_names_of_folders() {
    let folder = Folder::empty();
    for (name, level) in [
        ("dog/a.png", 1),
        ("dog/2019/b.png", 2),
        ("cat/a.png", 3),
        ("cat/the same as b.png", 2),
        ("background/c.png", 4),
        ("cat/.hidden.png", 5),
    ] {
        picture(&folder, name, level);
    }
    folder.write("dog/notes.txt", "no image");
    fs::create_dir_all(folder.at("empty")).unwrap();
    let dataset = open(&folder, "train").unwrap();
    assert_eq!(dataset.classes(), ["cat", "dog"]);
    let expected: [(&str, &[&str]); 4] =
        [("background/c", &[]), ("cat/a", &["cat"]), ("cat/the same as b", &["cat", "dog"]), ("dog/a", &["dog"])];
    let expected = expected.map(|(id, tags)| (id.to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect()));
    assert_eq!(tags(&dataset), expected);
    assert_names(&dataset.notices.join("; "), &["cat (2)", "dog (2)", "1 files repeat", "notes.txt"]);
    assert!(!dataset.has_masks() && !Dataset::has_split(folder.path(), "val"));
}

/// Protects: folders below those of splits, where the classes of `val` are those of `train`.
#[test]
fn splits_have_folders() {
    let folder = Folder::empty();
    for (name, level) in [("train/cat/a.png", 1), ("train/dog/b.png", 2), ("val/dog/c.png", 3)] {
        picture(&folder, name, level);
    }
    let train = open(&folder, "train").unwrap();
    let options = DatasetOptions { classes: Some(train.classes().to_vec()), ..DatasetOptions::default() };
    let val = Dataset::open(folder.path(), "val", &options).unwrap();
    assert_eq!(tags(&val), [("dog/c".to_owned(), vec!["dog".to_owned()])]);
    picture(&folder, "val/cow/d.png", 4);
    let text = message(Dataset::open(folder.path(), "val", &options));
    assert_names(&text, &["`cow`", "cat, dog", "rename"]);
    assert_names(&message(open(&folder, "test")), &["no split `test`"]);
}

/// Protects: a vehicle called `train` is a class, and a split beside the classes is none.
#[test]
fn a_class_may_be_called_like_a_split() {
    let folder = Folder::empty();
    for (name, level) in [("car/a.png", 1), ("train/b.png", 2), ("val/car/c.png", 3), ("val/train/d.png", 4)] {
        picture(&folder, name, level);
    }
    let train = open(&folder, "train").unwrap();
    assert_eq!((train.classes(), train.len()), (&["car".to_owned(), "train".to_owned()][..], 2));
    assert_eq!(open(&folder, "val").unwrap().ids(), ["car/c", "train/d"]);
}

/// Protects: photographs are turned as their EXIF orientation says.
#[test]
fn photographs_are_upright() {
    let folder = Folder::empty();
    // A JPEG of 6×4 pixels with orientation 6: a quarter turn.
    let path = folder.at("cat/turned.jpg");
    Rgb8::new(4, 6, vec![100; 72]).write_jpeg(&path, 90).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    bytes.splice(2..2, exif.iter().copied());
    fs::write(&path, bytes).unwrap();
    let image = open(&folder, "train").unwrap().image(0).unwrap();
    assert_eq!([image.height, image.width], [6, 4]);

    // Where there may be masks, only on request.
    let listed = Folder::new();
    fs::copy(&path, listed.at("JPEGImages/d.jpg")).unwrap();
    listed.write("ImageSets/Segmentation/train.txt", "d\n");
    listed.write("labels.json", r#"{"classes": ["cat"], "tags": {"d": ["cat"]}}"#);
    for (upright, size) in [(false, [4, 6]), (true, [6, 4])] {
        let options = DatasetOptions { upright, ..DatasetOptions::default() };
        let dataset = Dataset::open(listed.path(), "train", &options).unwrap();
        let image = dataset.image(0).unwrap();
        assert_eq!(([image.height, image.width], dataset.image_size(0).unwrap()), (size, size));
    }
}

/// Protects: parts of other layouts are not taken for classes, and a folder without any says what is expected.
#[test]
fn other_folders_are_refused() {
    let folder = Folder::empty();
    picture(&folder, "JPEGImages/a.png", 1);
    assert_names(&message(open(&folder, "train")), &["ImageSets"]);
    let folder = Folder::empty();
    picture(&folder, "a.png", 1);
    assert_names(&message(open(&folder, "train")), &["a folder for each class"]);
}

/// Protects: folders of splits by their other names and in any capitalisation, which are no classes.
#[test]
fn folders_of_splits_have_several_names() {
    for (train, val) in [("train", "valid"), ("Train", "Validation"), ("training", "VAL")] {
        let folder = Folder::empty();
        for (level, (split, name)) in
            [(train, "cat/a.png"), (train, "dog/b.png"), (val, "cat/c.png")].iter().enumerate()
        {
            picture(&folder, &format!("{split}/{name}"), level as u8);
        }
        picture(&folder, "Test/cat/d.png", 9);
        let names = |split: &str| tags(&open(&folder, split).unwrap());
        assert_eq!(names("train"), [("cat/a".into(), vec!["cat".into()]), ("dog/b".into(), vec!["dog".into()])]);
        assert!(Dataset::has_split(folder.path(), "val") && Dataset::has_split(folder.path(), "test"));
        assert_eq!(open(&folder, "val").unwrap().ids(), ["cat/c"], "{val}");
    }
}

/// Protects: what is in a folder of classes and not used is said: pictures beside the folders, links to nothing, and a
/// folder too many.
#[test]
fn what_is_not_used_is_said() {
    let folder = Folder::empty();
    for (level, name) in ["cat/a.png", "dog/b.png", "loose.png"].iter().enumerate() {
        picture(&folder, name, level as u8);
    }
    let notices = open(&folder, "train").unwrap().notices.join("; ");
    assert_names(&notices, &["1 pictures are in no folder of a class", "loose.png"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.png", folder.at("cat/dead.png")).unwrap();
        assert_names(&message(open(&folder, "train")), &["cat/dead.png", "link to a file that is missing"]);
    }
    let folder = Folder::empty();
    for (level, name) in ["photos/cat/a.png", "photos/dog/b.png"].iter().enumerate() {
        picture(&folder, name, level as u8);
    }
    let notices = open(&folder, "train").unwrap().notices.join("; ");
    assert_names(&notices, &["the only class is `photos`", "(cat, dog)", "photos"]);
}

/// Protects: names that look alike are one class, with the accent as part of the letter or apart, as macOS stores it.
#[test]
fn accents_are_stored_in_two_ways() {
    let folder = Folder::empty();
    picture(&folder, "caf\u{e9}/a.png", 1);
    picture(&folder, "cafe\u{301}/b.png", 2);
    picture(&folder, "dog/c.png", 3);
    let opened = open(&folder, "train").unwrap();
    assert_eq!(opened.classes(), ["caf\u{e9}", "dog"]);
    assert_names(&opened.notices.join("; "), &["caf\u{e9} (2), dog (1)"]);
    let folder = Folder::new();
    folder.write("labels.json", "{\"classes\": [\"caf\u{e9}\", \"cafe\u{301}\"]}");
    assert_names(&message(open(&folder, "train")), &["labels.json", "stored in two ways", "NFC"]);
}

/// Protects: what this program writes into a data set is no class of it: predictions, a run, labels.
#[test]
fn results_are_no_classes() {
    let folder = Folder::empty();
    for name in ["cat/a.png", "dog/b.png", "predictions/a.png", "predictions/a_overlay.png"] {
        picture(&folder, name, name.len() as u8);
    }
    for name in ["run/pictures/step.png", "pseudo/SegmentationClassAug/a.png"] {
        picture(&folder, name, name.len() as u8);
    }
    for name in ["run/checkpoints", "pseudo/ImageSets/Segmentation"] {
        fs::create_dir_all(folder.at(name)).unwrap();
    }
    assert_eq!(open(&folder, "train").unwrap().classes(), ["cat", "dog"]);
    // A picture of that name alone is one.
    picture(&folder, "maps/city_overlay.png", 9);
    assert_eq!(open(&folder, "train").unwrap().classes(), ["cat", "dog", "maps"]);
}

/// Protects: pictures in a format that is not read are named where a whole class, or the whole folder, has no others.
#[test]
fn classes_of_other_formats_are_reported() {
    let folder = Folder::empty();
    picture(&folder, "dog/a.png", 1);
    folder.write("cat/b.heic", "ftypheic");
    folder.write("cat/c.HEIC", "ftypheic");
    let text = message(open(&folder, "train"));
    assert_names(&text, &["b.heic", "is not JPEG", "1 others", "as JPEG or PNG"]);
    fs::remove_dir_all(folder.at("dog")).unwrap();
    assert_names(&message(open(&folder, "train")), &["b.heic", "is not JPEG"]);
}
