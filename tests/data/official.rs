//! Data sets in the forms in which they are distributed: lists, label vectors, annotations, folders.

use std::fs;
use std::path::{Path, PathBuf};

use tagseg::data::{Dataset, DatasetOptions};

use crate::folder::{Folder, assert_names, message};

fn voc2012(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/voc2012").join(name)
}

fn open(folder: &Folder, split: &str) -> Dataset {
    Dataset::open(folder.path(), split, &DatasetOptions::default()).unwrap()
}

/// PASCAL VOC 2012 with the official lists and labels; its pictures are empty files.
fn official() -> Folder {
    let folder = Folder::empty();
    for list in ["train", "train_aug", "val"] {
        fs::copy(voc2012(&format!("{list}.txt")), folder.at(&format!("ImageSets/Segmentation/{list}.txt"))).unwrap();
    }
    fs::copy(voc2012("cls_labels_onehot.npy"), folder.at("cls_labels_onehot.npy")).unwrap();
    for list in ["train_aug", "val"] {
        for id in fs::read_to_string(voc2012(&format!("{list}.txt"))).unwrap().lines() {
            folder.write(&format!("JPEGImages/{id}.jpg"), "");
        }
    }
    folder
}

/// Protects the official labels: the numbers of method.md 8.1, class by class and image by image.
#[test]
fn the_official_labels_have_the_published_sums() {
    let folder = official();
    let (train, val) = (open(&folder, "train_aug"), open(&folder, "val"));
    assert_eq!((open(&folder, "train").len(), train.len(), val.len()), (1464, 10_582, 1449));
    let positives = [
        ("aeroplane", 680),
        ("bicycle", 583),
        ("bird", 808),
        ("boat", 540),
        ("bottle", 810),
        ("bus", 467),
        ("car", 1277),
        ("cat", 1124),
        ("chair", 1351),
        ("cow", 338),
        ("diningtable", 688),
        ("dog", 1316),
        ("horse", 524),
        ("motorbike", 568),
        ("person", 4600),
        ("pottedplant", 607),
        ("sheep", 357),
        ("sofa", 739),
        ("train", 587),
        ("tvmonitor", 641),
    ];
    assert_eq!(train.classes(), positives.map(|(name, _)| name));
    let rows = |dataset: &Dataset| (0..dataset.len()).map(|index| dataset.tags(index).to_vec()).collect::<Vec<_>>();
    let all = [rows(&train), rows(&val)].concat();
    assert_eq!(all.len(), 12_031);
    let sum = |class: usize| all.iter().map(|row| row[class]).sum::<f32>() as usize;
    assert_eq!(positives.map(|(_, count)| count).to_vec(), (0..20).map(sum).collect::<Vec<_>>());

    let ones = |rows: &[Vec<f32>]| rows.iter().map(|row| row.iter().sum::<f32>() as usize).collect::<Vec<_>>();
    let counts = ones(&rows(&train));
    let with = |tags: usize| counts.iter().filter(|&&count| count == tags).count();
    assert_eq!([1, 2, 3, 4, 5, 6].map(with), [6249, 3104, 969, 210, 46, 4]);
    let mean = ones(&rows(&val)).iter().sum::<usize>() as f64 / 1449.0;
    assert!((mean - 1.482).abs() < 5e-4, "{mean}");
}

/// Protects the choice of the list: VOC's augmented one if it exists, and another one on request.
#[test]
fn training_uses_the_augmented_list() {
    let folder = Folder::new();
    assert_eq!(Dataset::train_split(folder.path(), "auto"), "train");
    folder.write("ImageSets/Segmentation/train_aug.txt", "a\n");
    assert_eq!(Dataset::train_split(folder.path(), "auto"), "train_aug");
    assert_eq!(Dataset::train_split(folder.path(), "train"), "train");
}

/// Protects against label vectors that do not match the images or classes.
#[test]
fn label_vectors_that_do_not_fit_are_refused() {
    let folder = official();
    folder.write("ImageSets/Segmentation/train.txt", "stranger\n");
    folder.write("JPEGImages/stranger.jpg", "");
    assert_names(&folder.refusal(), &["cls_labels_onehot.npy", "`stranger` has no tags"]);
    folder.write("labels.json", r#"{"classes": ["cat", "dog"]}"#);
    assert_names(&folder.refusal(), &["cls_labels_onehot.npy", "20 columns", "2 classes"]);
    folder.write("cls_labels_onehot.npy", "no array");
    assert_names(&folder.refusal(), &["cls_labels_onehot.npy", "not a file of numpy.save", "{id: vector of numbers}"]);
}

/// Protects a plain matrix: one row for each line of the list beside it.
#[test]
fn a_matrix_gives_tags_by_line() {
    let folder = Folder::new();
    folder.remove("labels.json");
    let matrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/npy/matrix_u1.npy");
    fs::copy(matrix, folder.at("ImageSets/Segmentation/train.npy")).unwrap();
    assert_names(&folder.refusal(), &["train.npy", "2 rows", "3 ids"]);
    folder.write("ImageSets/Segmentation/train.txt", "b\na\n");
    let dataset = folder.open().unwrap();
    assert_eq!((dataset.tags(0), dataset.tags(1)), (&[1.0, 0.0, 0.0][..], &[0.0, 1.0, 1.0][..]));
    assert_eq!(dataset.classes(), ["class 1", "class 2", "class 3"]);
}

/// Protects tags in a table, with and without a header, a list of classes, and quotes: those of RFC 4180, and those
/// with white space around them.
#[test]
fn a_table_gives_tags_by_name() {
    let folder = Folder::new();
    folder.remove("labels.json");
    folder.image("z", 4, 6);
    folder.write("labels.csv", "\u{feff}id,tags\r\na,dog cat\r\nb,ant\r\n\r\nc,\r\nz,zebra\r\n");
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.classes(), ["ant", "cat", "dog", "zebra"], "of the whole file, so that all splits agree");
    assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[0., 1., 1., 0.], [1., 0., 0., 0.], [0.; 4]]);
    folder.write("labels.json", r#"{"classes": ["dog", "cat", "ant"]}"#);
    assert_eq!(folder.open().unwrap().tags(0), [1.0, 1.0, 0.0], "another file may name the classes");
    folder.write("labels.csv", "a,dog\nb,dgo\nc,cat\n");
    assert_names(&folder.refusal(), &["labels.csv", "`b`", "`dgo`", "most similar class is `dog`"]);
    folder.write("labels.csv", "a,dog\nb\n");
    assert_names(&folder.refusal(), &["labels.csv", "line 2 has one field", "a comma", "id,tag tag"]);
    folder.write("labels.csv", " \"a\" , \"dog cat\" \n  \n\"b\",\"dog\n\tcat\"\nc,ant\n");
    let dataset = folder.open().unwrap();
    assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[1., 1., 0.], [1., 1., 0.], [0., 0., 1.]]);
}

/// Protects tables as other programs write them: one row a tag or one row an image, any separator, quotes, headings.
#[test]
fn tables_of_other_programs_have_the_same_tags() {
    let rest = "c,";
    for (table, notice) in [
        ("a,cat\na,dog\nb,dog\nb,dog\nc,", "fields are separated by a comma"),
        ("b,dog\na,dog\nc,\na,cat", "a comma"),
        ("a,cat,dog\nb,dog\nc,", "tags by a comma"),
        ("a,cat,dog\nb,dog,\nc,,", "tags by a comma"),
        ("a,cat;dog\nb,dog\nc,", "tags by a semicolon"),
        ("a,cat | dog\nb,dog\nc,", "tags by a vertical bar"),
        ("a,cat dog\nb,dog\nc,", "tags by white space"),
        ("a;cat,dog\nb;dog\nc;", "fields are separated by a semicolon, tags by a comma"),
        ("a;cat;dog\nb;dog\nc;", "fields are separated by a semicolon"),
        ("a\tcat dog\nb\tdog\nc\t", "fields are separated by a tab, tags by white space"),
        ("a|cat\na|dog\nb|dog\nc|", "fields are separated by a vertical bar"),
        ("image,label\na,cat\na,dog\nb,dog\nc,", "line 1 is a heading (`image,label`)"),
        ("\u{feff}filename;tags\na.jpg;cat,dog\nb.png;dog\nc.PNG;", "line 1 is a heading (`filename,tags`)"),
        ("\"a\",\"cat\"\n\"a\", \"dog\"\n\"b\" ,\"dog\"\r\n\"c\",\"\"", "a comma"),
        ("JPEGImages/a.png,cat\nJPEGImages\\a.png,dog\n./b,dog\nc,", "a comma"),
    ] {
        let folder = Folder::new();
        folder.remove("labels.json");
        folder.write("labels.csv", table);
        let dataset = folder.open().unwrap();
        assert_eq!(dataset.classes(), ["cat", "dog"], "{table}");
        assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[1., 1.], [0., 1.], [0., 0.]], "{table}");
        assert_names(&dataset.notices.join("\n"), &["labels.csv", notice]);
    }
    for (table, classes) in [
        (format!("a,\"traffic light\"\nb,dog\n{rest}"), vec!["dog", "traffic light"]),
        (format!("a,traffic light;dog\nb,dog\n{rest}"), vec!["dog", "traffic light"]),
        (format!("a,traffic light,dog\nb,dog\n{rest}"), vec!["dog", "traffic light"]),
        (format!("a,\"cup, \"\"mug\"\"\"\nb,dog\n{rest}"), vec!["cup, \"mug\"", "dog"]),
    ] {
        let folder = Folder::new();
        folder.remove("labels.json");
        folder.write("labels.csv", &table);
        assert_eq!(folder.open().unwrap().classes(), classes, "{table}");
    }
    // Known classes tell what a field means, quoted or not.
    let folder = Folder::new();
    folder.write("labels.json", r#"{"classes": ["cat", "traffic light"]}"#);
    folder.write("labels.csv", "a,\"cat,traffic light\"\nb,traffic light\nc,\"cat\"\n");
    let dataset = folder.open().unwrap();
    assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[1., 1.], [0., 1.], [1., 0.]]);
}

/// Protects against tables that would lose or invent tags.
#[test]
fn doubtful_tables_are_refused() {
    for (table, parts) in [
        ("a,cat\nb,dog\nc,\nx,cow\n", ["line 4", "`x`"]),
        ("image,label\na,cat\nb,dog\nx,cow\nc,\n", ["line 4", "`x`"]),
        ("a,cat\nb,\"dog\nc,\n", ["quote", "line 2"]),
        ("a,\"dog\ncat\"\nb,dog\nc,\n", ["dog\\ncat", "line breaks"]),
        ("id,cat,dog\na,1,0\nb,0,7\nc,0,0\n", ["numbers", "id,cat,dog"]),
        ("a cat\nb dog\nc\n", ["line 1", "one field"]),
    ] {
        let folder = Folder::new();
        folder.remove("labels.json");
        folder.write("labels.csv", table);
        assert_names(&folder.refusal(), &["labels.csv", parts[0], parts[1]]);
    }
    let folder = Folder::new();
    folder.remove("labels.json");
    folder.write("labels.csv", b"a,caf\xe9\n");
    assert_names(&folder.refusal(), &["labels.csv", "not UTF-8", "line 1"]);
}

/// Protects tags from VOC's own annotations: of objects, not of their parts.
#[test]
fn annotations_give_tags_if_there_are_no_masks() {
    let folder = Folder::new();
    folder.remove("labels.json");
    let person = "<object><name>person</name><part><name>head</name></part></object>";
    let objects =
        [("a", person.to_owned()), ("b", format!("{person}<object><name>dog</name></object>")), ("c", String::new())];
    for (id, objects) in objects {
        let size = "<size><width>6</width></size>";
        folder.write(&format!("Annotations/{id}.xml"), format!("<annotation>{size}{objects}</annotation>"));
    }
    assert_eq!(folder.open().unwrap().classes(), ["class 1", "class 2"], "masks have priority");
    folder.remove("SegmentationClassAug");
    let dataset = folder.open().unwrap();
    assert_eq!(dataset.classes(), ["dog", "person"]);
    assert_eq!([0, 1, 2].map(|index| dataset.tags(index)), [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]);
    for (content, part) in
        [("<annotation>", "is not XML"), ("<html/>", "`html`"), ("<annotation><object/></annotation>", "name")]
    {
        folder.write("Annotations/b.xml", content);
        assert_names(&folder.refusal(), &["Annotations/b.xml", part]);
    }
    folder.remove("Annotations/b.xml");
    assert_names(&folder.refusal(), &["Annotations/b.xml"]);
}

/// Protects MS-COCO in VOC-style folders: images and masks by split (method.md 8.2), grey ones among them.
#[test]
fn coco_may_be_in_folders_of_its_splits() {
    let folder = Folder::new();
    for (split, id) in [("train", "COCO_train2014_000000000009"), ("val", "COCO_val2014_000000000042")] {
        folder.write(&format!("ImageSets/Segmentation/{split}.txt"), id);
        folder.image(&format!("{split}/{id}"), 4, 6);
        folder.mask(&format!("{split}/{id}"), 4, 6, [80, 255]);
    }
    folder.remove("labels.json");
    for split in ["train", "val"] {
        let dataset = open(&folder, split);
        assert_eq!((dataset.len(), dataset.mask(0).unwrap().data[0], dataset.tags(0)[79]), (1, 80, 1.0));
    }
    folder.remove("SegmentationClassAug");
    let missing = message(Dataset::open(folder.path(), "val", &DatasetOptions::default()));
    assert_names(&missing, &["SegmentationClassAug", "`COCO_val2014_000000000042`"]);
}
