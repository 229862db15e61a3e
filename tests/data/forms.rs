//! The forms in which people bring tags: each is found out, read with the right tags, and refused in one line if broken.

use std::path::Path;

use tagseg::config::DataForm;
use tagseg::data::check::check;
use tagseg::data::{Dataset, DatasetOptions, Rgb8, SplitOptions, Splits};

use crate::folder::{Folder, assert_names, message};

/// A folder with pictures of these names.
fn with(pictures: &[&str]) -> Folder {
    let folder = Folder::empty();
    for (level, name) in pictures.iter().enumerate() {
        Rgb8::new(4, 6, vec![level as u8; 72]).write_png(&folder.at(name)).unwrap();
    }
    folder
}

fn options(form: DataForm) -> SplitOptions<'static> {
    SplitOptions { train_split: "auto", skip_broken: false, true_masks: false, upright: false, form }
}

fn open(folder: &Folder) -> tagseg::Result<Dataset> {
    Splits::open(folder.path(), options(DataForm::Auto), &(), &mut Err).map(|splits| splits.train)
}

/// Every image with its tags, as `id: tag tag`, sorted.
fn tags(dataset: &Dataset) -> Vec<String> {
    let names = |index| {
        let tags = dataset.tags(index).iter().zip(dataset.classes());
        tags.filter(|(tag, _)| **tag > 0.5).map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<_> =
        dataset.ids().iter().zip(0..).map(|(id, index)| format!("{id}: {}", names(index))).collect();
    lines.sort();
    lines
}

/// Opens a folder, and checks the form that it was found to have, its tags, and parts of its notices.
#[track_caller]
fn assert_read(folder: &Folder, form: &str, expected: &[&str], notices: &[&str]) {
    let dataset = open(folder).unwrap();
    assert_names(&dataset.notices[0], &[&format!("is read as {form}")]);
    assert_eq!(tags(&dataset), expected);
    assert_names(&dataset.notices.join("; "), notices);
}

#[track_caller]
fn assert_refused(folder: &Folder, parts: &[&str]) {
    assert_names(&message(open(folder)), parts);
}

/// Protects: tables of one row an image, one row a tag, columns of 0 and 1, and of what else programs write, with the
/// paths, line ends and marks of other systems.
#[test]
fn tables_are_read() {
    let pictures = ["images/a.png", "images/b.png", "images/my c.png"];
    for (name, table, expected) in [
        ("labels.csv", "filename,label\na.png,cat\nb.png,dog\na.png,dog\n", &["a: cat dog", "b: dog"][..]),
        (
            "labels.csv",
            "\u{feff}file_name,tags\r\nimages\\a.png,cat dog\r\nimages\\b.png,\r\n\r\n\r\n",
            &["a: cat dog", "b: "][..],
        ),
        ("train.tsv", "image\ttags\na\tcat,dog\nb\tdog\n", &["a: cat dog", "b: dog"][..]),
        ("anything.csv", "a.png,cat,dog\nb.png,dog,\n", &["a: cat dog", "b: dog"][..]),
        ("labels.csv", "filename,cat,dog\na.png,1,0\nb.png,1.0,1\n", &["a: cat", "b: cat dog"][..]),
        ("labels.csv", "filename,cat\na.png,1\nb.png,0\n", &["a: cat", "b: "][..]),
        // Open Images: a tag of confidence 0 was checked and is not there.
        (
            "train.csv",
            "ImageID,Source,LabelName,Confidence\na,verification,cat,1\na,verification,dog,0\nb,machine,dog,0.9\n",
            &["a: cat", "b: dog"][..],
        ),
        // Boxes: one column has the class.
        (
            "train.csv",
            "filename,width,height,class,xmin\na.png,6,4,cat,1\na.png,6,4,dog,2\nb.png,6,4,dog,0\n",
            &["a: cat dog", "b: dog"][..],
        ),
        // The image need not come first, and rows of another split are left out.
        (
            "labels.csv",
            "label;path;split\ncat;images/a.png;train\ndog;images/b.png;train\ncow;images/my c.png;val\n",
            &["a: cat", "b: dog"][..],
        ),
        ("labels.csv", "path,label\nimages/my%20c.png,\"a, b\"\nimages/a.png,cat\n", &["a: cat", "my c: a, b"][..]),
        // pandas numbers the rows, and writes lists as Python shows them; NumPy without commas.
        ("labels.csv", ",filename,cat,dog\n0,a.png,1,0\n1,b.png,0,1\n", &["a: cat", "b: dog"][..]),
        ("labels.csv", "filename,cat,dog,\na.png,1,0,\nb.png,0,1,\n", &["a: cat", "b: dog"][..]),
        ("labels.csv", "filename,label\na.png,\"['cat', 'dog']\"\nb.png,[]\n", &["a: cat dog", "b: "][..]),
        ("labels.csv", "filename,label\na.png,\"cat [wild]\"\nb.png,dog\n", &["a: cat [wild]", "b: dog"][..]),
        (
            "labels.csv",
            "filename,label\na.png,\"[\"\"cat\"\"]\"\nb.png,\"['a b' 'dog']\"\n",
            &["a: cat", "b: a b dog"][..],
        ),
        // Tags in the last column that are separated as fields are.
        ("labels.csv", "filename,label\na.png,cat,dog\nb.png,dog\n", &["a: cat dog", "b: dog"][..]),
        // The same name with its accent apart and as part of the letter.
        ("labels.csv", "filename,label\na.png,caf\u{e9}\nb.png,cafe\u{301}\n", &["a: caf\u{e9}", "b: caf\u{e9}"][..]),
    ] {
        let folder = with(&pictures);
        folder.write(name, table);
        let dataset = open(&folder).unwrap();
        assert_names(&dataset.notices[0], &["is read as a table of tags", name]);
        let expected: Vec<String> = expected.iter().map(|line| format!("images/{line}")).collect();
        let mut found = tags(&dataset);
        found.sort();
        assert_eq!(found, expected, "{table}");
    }
}

/// Protects: tags that are numbers have the names of classes.txt, in a table and as texts of JSON lines; digits that are
/// names, and numbers that nothing names, remain.
#[test]
fn numbers_have_names() {
    let table = "filename,label\na.png,1\nb.png,0.0\n";
    let lines = "{\"file_name\": \"a.png\", \"label\": \"1\"}\n{\"file_name\": \"b.png\", \"label\": \"0\"}\n";
    for (form, file, content) in [("a table", "labels.csv", table), ("JSON lines", "metadata.jsonl", lines)] {
        let folder = with(&["a.png", "b.png"]);
        folder.write(file, content);
        let (a, b) = if file == "labels.csv" { ("a: 1", "b: 0.0") } else { ("a: 1", "b: 0") };
        assert_read(&folder, form, &[a, b], &["tags are numbers; classes.txt"]);
        folder.write("classes.txt", "owl\nfox\ncow\n");
        assert_read(&folder, form, &["a: fox", "b: owl"], &["numbers, which classes.txt names"]);
        assert_eq!(open(&folder).unwrap().classes(), ["owl", "fox", "cow"], "in their order");
        folder.write("classes.txt", "owl\n");
        assert_refused(&folder, &[file, "line", "the class 1, but classes.txt names 1", "correct the class"]);
        folder.write("classes.txt", "owl\n\nfox\n");
        assert_refused(&folder, &["classes.txt", "line 2 is blank"]);
        folder.write("classes.txt", "0\n0.0\n1\n2\n");
        assert_read(&folder, form, &[a, b], &[]);
    }
    // Beside PASCAL VOC's lists.
    let folder = with(&["JPEGImages/a.png", "JPEGImages/b.png"]);
    folder.write("ImageSets/Segmentation/train.txt", "a\nb\n");
    folder.write("labels.csv", "a,1\nb,0 1\n");
    folder.write("classes.txt", "owl\nfox\n");
    assert_read(&folder, "PASCAL VOC", &["a: fox", "b: owl fox"], &["which classes.txt names"]);
}

/// Protects: tables of splits in folders, as Roboflow writes them.
#[test]
fn tables_lie_in_the_folders_of_splits() {
    let folder = with(&["train/a.png", "train/b.png", "valid/a.png", "test/c.png"]);
    folder.write("train/_classes.csv", "filename, cat, traffic light\na.png, 1, 0\nb.png, 0, 1\n");
    folder.write("valid/_classes.csv", "filename, cat, traffic light\na.png, 0, 1\n");
    assert_read(
        &folder,
        "a table of tags (train/_classes.csv)",
        &["train/a: cat", "train/b: traffic light"],
        &["2 columns"],
    );
    let splits = Splits::open(folder.path(), options(DataForm::Auto), &(), &mut Err).unwrap();
    assert_eq!(tags(&splits.val.unwrap()), ["valid/a: traffic light"]);
}

/// Protects: what is wrong with a table is named with its line, in silence nothing.
#[test]
fn broken_tables_are_refused() {
    for (table, parts) in [
        ("a.png,cat\nz.png,dog\n", &["labels.csv", "line 2", "`z.png`", "missing"][..]),
        ("z.png,cat\na.png,dog\n", &["line 1", "`z.png`", "missing"]),
        ("a.png,cat\nb.png,Cat\n", &["labels.csv", "`Cat` and `cat`", "capitalisation"]),
        ("a.png,cat\nd/x.png,dog\n", &["line 2", "`d/x.png`", "missing"]),
        ("a.png,cat\nx.png,dog\n", &["line 2", "`x.png`", "images/e/x.png or images/f/x.png"]),
        ("filename,a,b\na.png,0.3,7\n", &["labels.csv", "numbers in its columns"]),
        ("filename,label\n", &["labels.csv", "lists no image"]),
        ("file_name,label\n,cat\n", &["labels.csv", "line 2", "no image"]),
        ("", &["labels.csv", "lists no image"]),
        ("file_name,label,split\na.png,cat,train,dog\n", &["labels.csv", "line 2 has 4 fields", "heading has 3"]),
        ("file_name,label\na.png,['cat', 'dog']\n", &["labels.csv", "line 2", "`['cat'`", "quotes around the list"]),
    ] {
        let folder = with(&["a.png", "b.png", "images/e/x.png", "images/f/x.png"]);
        folder.write("labels.csv", table);
        assert_refused(&folder, parts);
    }
    let folder = with(&["a.png"]);
    folder.write("labels.csv", "a.png,cat\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    assert_refused(&folder, &["labels.csv"]);
    folder.write("labels.csv", "\u{feff}a.png,cat\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    assert_refused(&folder, &["labels.csv", "UTF-16"]);
}

/// Protects: JSON lines with names, lists of names and numbers of named classes, at the root and in folders of splits.
#[test]
fn json_lines_are_read() {
    let folder = with(&["train/a.png", "train/b.png", "train/sub/c.png", "validation/d.png"]);
    let lines = [
        r#"{"file_name": "a.png", "tags": ["cat", "dog"]}"#,
        r#"{"file_name": "b.png", "tags": "dog"}"#,
        r#"{"file_name": "sub\\c.png", "tags": []}"#,
        r#"{"file_name": "b.png", "tags": ["cow"]}"#,
        "",
    ];
    folder.write("train/metadata.jsonl", lines.join("\r\n"));
    folder.write("validation/metadata.jsonl", r#"{"file_name": "d.png", "tags": "cat"}"#);
    let expected = ["train/a: cat dog", "train/b: cow dog", "train/sub/c: "];
    assert_read(&folder, "JSON lines (train/metadata.jsonl)", &expected, &["1 entries name an image again"]);
    assert!(Dataset::has_split(folder.path(), "val"));
    // A split without any tag has the classes of the other.
    folder.write("validation/metadata.jsonl", r#"{"file_name": "d.png", "tags": []}"#);
    let splits = Splits::open(folder.path(), options(DataForm::Auto), &(), &mut Err).unwrap();
    assert_eq!(
        (splits.train.classes(), tags(&splits.val.unwrap())),
        (&["cat", "cow", "dog"].map(String::from)[..], vec!["validation/d: ".to_owned()])
    );

    let folder = with(&["a.png", "b.png"]);
    let objects = r#"{"file_name": "b.png", "objects": {"bbox": [[0, 0, 1, 1]], "category": [1, 1]}}"#;
    folder.write("metadata.jsonl", format!("{}\n{objects}\n", r#"{"file_name": "a.png", "label": 0}"#));
    assert_refused(&folder, &["metadata.jsonl", "numbers", "classes.txt"]);
    folder.write("classes.txt", "dog\ncat\n");
    assert_read(&folder, "JSON lines", &["a: dog", "b: cat"], &[]);
    folder.write("metadata.jsonl", "{\"file_name\": \"a.png\", \"tags\": \"cat, dog\"}\n");
    assert_read(&folder, "JSON lines", &["a: cat, dog"], &["a text is one tag, such as `cat, dog`"]);
    folder.write("metadata.jsonl", format!("{}\n{objects}\n", r#"{"file_name": "a.png", "label": 0}"#));
    folder.remove("classes.txt");
    let card = "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        names:\n          '0': owl\n          '1': fox\n---\n# Card\n";
    folder.write("README.md", card);
    assert_read(&folder, "JSON lines", &["a: owl", "b: fox"], &[]);
}

#[test]
fn broken_json_lines_are_refused() {
    for (line, parts) in [
        (r#"{"file_name": "a.png""#, &["metadata.jsonl", "line 2", "is not JSON"][..]),
        ("[1]", &["line 2", "not an object"]),
        (r#"{"name": "a.png", "tags": []}"#, &["line 2", "no `file_name`"]),
        (r#"{"file_name": "a.png"}"#, &["line 2", "no `tags`"]),
        (r#"{"file_name": "a.png", "tags": true}"#, &["line 2", "neither names nor numbers"]),
        (r#"{"file_name": "a.png", "tags": 9}"#, &["line 2", "class 9", "classes.txt names 1"]),
        (r#"{"file_name": "a.png", "tags": -1}"#, &["line 2", "class -1"]),
        (r#"{"file_name": "z.png", "tags": []}"#, &["line 2", "`z.png`", "missing"]),
    ] {
        let folder = with(&["a.png"]);
        folder.write("classes.txt", "cat\n");
        folder.write("metadata.jsonl", format!("{}\n{line}\n", r#"{"file_name": "a.png", "tags": "cat"}"#));
        assert_refused(&folder, parts);
    }
}

const BOX: &str = "0.5 0.5 0.2 0.2";

/// Protects: YOLO with names as list or map, boxes and polygons, empty and missing files of labels.
#[test]
fn yolo_is_read() {
    let pictures = ["images/train/a.png", "images/train/b.png", "images/train/c.png", "images/val/d.png"];
    for names in
        ["names: [cat, dog, 'no']", "names:\n  0: cat\n  1: dog\n  2: no", "nc: 3\nnames:\n- cat\n- dog\n- \"no\""]
    {
        let folder = with(&pictures);
        folder.write(
            "data.yaml",
            format!("# ours\r\npath: /elsewhere/set\ntrain: ../images/train\nval: images/val\n{names}\n"),
        );
        folder.write("labels/train/a.txt", format!("0 {BOX}\r\n2 0.1 0.1 0.2 0.1 0.2 0.2\r\n\r\n"));
        folder.write("labels/train/b.txt", "");
        folder.write("labels/val/d.txt", format!("1 {BOX}\n"));
        let expected = ["images/train/a: cat no", "images/train/b: ", "images/train/c: "];
        assert_read(
            &folder,
            "YOLO (data.yaml)",
            &expected,
            &["classes of boxes", "1 of 3 images have no file of labels"],
        );
        assert_eq!(open(&folder).unwrap().classes(), ["cat", "dog", "no"], "in their order");
        assert!(Dataset::has_split(folder.path(), "val"));
    }
    // Lists of images, and the layout of Roboflow.
    let folder = with(&["train/images/a.png", "train/images/b.png"]);
    folder.write("data.yaml", "train: train.txt\nnames: [cat]\n");
    folder.write("train.txt", "./train/images/a.png\n");
    folder.write("train/labels/a.txt", format!("0 {BOX}\n"));
    assert_read(&folder, "YOLO", &["train/images/a: cat"], &["1 pictures are not listed"]);
    folder.write("data.yaml", "train: ../train/images\nval: ../valid/images\nnames: [cat]\n");
    assert_read(&folder, "YOLO", &["train/images/a: cat", "train/images/b: "], &[]);
    assert!(!Dataset::has_split(folder.path(), "val"));
    // Label Studio's export as YOLO.
    let folder = with(&["images/a.png"]);
    folder.write("classes.txt", "cat\ndog\n");
    folder.write("labels/a.txt", format!("1 {BOX}\n"));
    assert_read(&folder, "YOLO (classes.txt)", &["images/a: dog"], &[]);
}

/// Protects: lists of names in the places where programs write them, labels with an ending in capitals, and files of
/// labels without an image.
#[test]
fn yolo_is_read_with_a_list_of_names() {
    let settings =
        "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n";
    for inside in ["", "data/"] {
        let at = |name: &str| format!("{inside}{name}");
        let folder = with(&[&at("obj_train_data/a.png"), &at("obj_train_data/b.png"), &at("obj_valid_data/c.png")]);
        folder.write(&at("obj.data"), settings);
        folder.write(&at("obj.names"), "cat\r\ndog\r\n");
        folder.write(&at("train.txt"), "data/obj_train_data/a.png\ndata/obj_train_data/b.png\n");
        folder.write(&at("valid.txt"), "data/obj_valid_data/c.png\n");
        folder.write(&at("obj_train_data/a.txt"), format!("1 {BOX}\n"));
        folder.write(&at("obj_train_data/b.txt"), format!("0 {BOX}\n1 {BOX}\n"));
        folder.write(&at("obj_valid_data/c.txt"), format!("0 {BOX}\n"));
        let expected = ["obj_train_data/a: dog", "obj_train_data/b: cat dog"].map(&at);
        assert_read(&folder, &format!("YOLO ({inside}obj.data)"), &expected.each_ref().map(String::as_str), &[]);
        let splits = Splits::open(folder.path(), options(DataForm::Auto), &(), &mut Err).unwrap();
        assert_eq!(tags(&splits.val.unwrap()), [at("obj_valid_data/c: cat")]);
        folder.remove(&at("obj.names"));
        assert_refused(&folder, &["obj.data", "names no list of classes"]);
    }
    // LabelImg: the list beside the labels, which are beside the pictures or in a folder of their own.
    for (list, labels, picture) in [
        ("classes.txt", "a", "a.png"),
        ("labels/classes.txt", "labels/a", "images/a.png"),
        ("obj.names", "labels/a", "a.PNG"),
    ] {
        let folder = with(&[picture]);
        folder.write(list, "cat\ndog\n");
        folder.write(&format!("{labels}.TXT"), format!("1 {BOX}\n"));
        folder.write("labels/z.txt", format!("0 {BOX}\n"));
        let expected = format!("{}: dog", picture.split('.').next().unwrap());
        let notices: &[&str] =
            if labels == "a" { &[] } else { &["1 files of labels belong to no image here", "z.txt"] };
        assert_read(&folder, &format!("YOLO ({list})"), &[&expected], notices);
    }
    let folder = with(&["images/a.png"]);
    folder.write("labels/a.txt", format!("1 {BOX}\n"));
    assert_refused(&folder, &["has labels, but no file that names their classes", "classes.txt"]);
    folder.write("data.yaml", "");
    assert_refused(&folder, &["data.yaml", "no `names`"]);
    // Texts beside pictures of classes are captions.
    let folder = with(&["cat/a.png"]);
    folder.write("cat/a.txt", "my cat");
    assert_read(&folder, "a folder for each class", &["cat/a: cat"], &[]);
}

#[test]
fn broken_yolo_is_refused() {
    for (labels, parts) in [
        (format!("0 {BOX}\n2 {BOX}\n"), &["labels/train/a.txt", "line 2", "class 2", "data.yaml names 2 (0 to 1)"][..]),
        (format!("-1 {BOX}\n"), &["a.txt", "line 1", "not a class and numbers"]),
        (format!("0.5 {BOX}\n"), &["a.txt", "line 1"]),
        (format!("cat {BOX}\n"), &["a.txt", "line 1", "`cat"]),
        ("0 0.5 0.5\n".into(), &["a.txt", "line 1", "3 numbers"]),
        ("0 0.5 nan 0.1 0.1\n".into(), &["a.txt", "line 1"]),
    ] {
        let folder = with(&["images/train/a.png"]);
        folder.write("data.yaml", "train: images/train\nnames: [cat, dog]\n");
        folder.write("labels/train/a.txt", labels);
        assert_refused(&folder, parts);
    }
    for (yaml, parts) in [
        ("train: images/train\nnc: 3\nnames: [cat, dog]\n", &["data.yaml", "2 `names`", "`nc` is 3"][..]),
        ("train: images/train\nnames: {1: cat, 2: dog}\n", &["data.yaml", "numbered from 0"]),
        ("train: images/train\nnames: [cat, [dog]]\n", &["data.yaml", "neither a list"]),
        ("train: images/train\nnames: [cat, Cat]\n", &["data.yaml", "`cat` and `Cat`"]),
        ("train: images/train\nnames: [cat\n", &["data.yaml", "is not YAML", "line"]),
    ] {
        let folder = with(&["images/train/a.png"]);
        folder.write("data.yaml", yaml);
        folder.write("labels/train/a.txt", format!("0 {BOX}\n"));
        assert_refused(&folder, parts);
    }
    let folder = with(&["images/train/a.png"]);
    folder.write("data.yaml", "train: images/train\nnames: [cat]\n");
    assert_refused(&folder, &["no image has a file of labels"]);
}

/// Protects: Label Studio's export with choices and regions; several annotators, skipped tasks, and its names of files.
#[test]
fn label_studio_is_read() {
    let folder = with(&["a.png", "my b.png", "c.png", "d.png", "e.png"]);
    let json = r#"[
      {"id": 1, "data": {"image": "/data/upload/3/0a1b2c3d-a.png"}, "annotations": [
        {"was_cancelled": false, "completed_by": 1, "result": [
          {"type": "choices", "value": {"choices": ["cat", "traffic light"]}},
          {"type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": ["dog"]}}]}]},
      {"id": 2, "data": {"image": "/data/local-files/?d=set/my%20b.png"}, "annotations": [
        {"result": [{"type": "brushlabels", "value": {"rle": [1], "brushlabels": ["cat"]}}]},
        {"result": [{"type": "polygonlabels", "value": {"points": [], "polygonlabels": ["dog"]}}]},
        {"was_cancelled": true, "result": [{"type": "choices", "value": {"choices": ["cow"]}}]}]},
      {"id": 3, "data": {"image": "s3://bucket/c.png"}, "annotations": [{"result": []}]},
      {"id": 4, "data": {"image": "d.png"}, "annotations": [{"was_cancelled": true, "result": []}]},
      {"id": 5, "data": {"image": "e.png"}, "annotations": []}]"#;
    folder.write("project-1-at-2026.json", json);
    let expected = ["a: cat dog traffic light", "c: ", "my b: cat dog"];
    let notices = ["2 images have no annotation, or only skipped ones", "annotators differ about 1 images"];
    assert_read(&folder, "an export of Label Studio (project-1-at-2026.json)", &expected, &notices);

    let folder = with(&["a.png", "b.png"]);
    let minimal = r#"[{"image": "/data/upload/0a1b2c3d-a.png", "id": 1, "choice": "cat", "annotator": 1, "annotation_id": 1},
      {"image": "/data/upload/0a1b2c3d-a.png", "id": 1, "choice": {"choices": ["dog"]}, "annotator": 2, "annotation_id": 2},
      {"image": "b.png", "id": 2, "label": [{"x": 1, "rectanglelabels": ["cow"], "original_width": 6}], "annotator": 1}]"#;
    folder.write("result.json", minimal);
    assert_read(&folder, "an export of Label Studio", &["a: cat dog", "b: cow"], &["annotators differ about 1"]);
    // Texts of a task are no answers; of a taxonomy the last name counts.
    let titled = r#"[{"image": "a.png", "title": "my garden", "choice": "cat", "annotator": 1},
      {"image": "b.png", "kinds": [{"taxonomy": [["animal", "dog"], ["animal"]]}], "annotator": 1}]"#;
    folder.write("result.json", titled);
    assert_read(&folder, "an export of Label Studio", &["a: cat", "b: animal dog"], &["`title` is text"]);

    folder.write("result.json", r#"[{"id": 7, "data": {"image": "z.png"}, "annotations": [{"result": []}]}]"#);
    assert_refused(&folder, &["result.json", "task 7", "`z.png`", "missing"]);
    folder.write("result.json", r#"[{"id": 7, "data": {"text": "z"}, "annotations": [{"result": []}]}]"#);
    assert_refused(&folder, &["result.json", "task 7 has no image"]);
    folder.write("result.json", r#"[{"id": 7, "annotations": [}]"#);
    assert_refused(&folder, &["result.json", "is not a list of tasks"]);
}

/// Protects: CVAT's XML with tags and shapes, in which images without any have no tags.
#[test]
fn cvat_is_read() {
    let folder = with(&["images/a.png", "images/sub/b.png", "images/c.png"]);
    let head = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations><version>1.1</version><meta><task><labels>\
        <label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>";
    let images = r#"<image id="0" name="a.png" width="6" height="4"><tag label="cat"/><box label="dog" xtl="1"/></image>
        <image id="1" name="sub\b.png"><polygon label="cat" points="1,2;3,4"><attribute name="x">1</attribute></polygon></image>
        <image id="2" name="c.png"/>"#;
    folder.write("annotations.xml", format!("{head}{images}</annotations>"));
    let expected = ["images/a: dog cat", "images/c: ", "images/sub/b: cat"];
    assert_read(&folder, "an export of CVAT (annotations.xml)", &expected, &["1 of 3 images have no tags"]);
    let subsets = images.replace("name=\"c.png\"", "name=\"c.png\" subset=\"Validation\"");
    folder.write("annotations.xml", format!("{head}{subsets}</annotations>"));
    assert_read(
        &folder,
        "an export of CVAT",
        &["images/a: dog cat", "images/sub/b: cat"],
        &["1 images are of other subsets"],
    );

    // What is outside of the image is not seen.
    let outside = images.replace("label=\"dog\" xtl=\"1\"", "label=\"dog\" outside=\"1\"");
    folder.write("annotations.xml", format!("{head}{outside}</annotations>"));
    assert_read(&folder, "an export of CVAT", &["images/a: cat", "images/c: ", "images/sub/b: cat"], &[]);

    for (content, parts) in [
        (format!("{head}<track id=\"0\" label=\"cat\"/></annotations>"), &["annotations.xml", "tracks of a video"][..]),
        (format!("{head}{images}"), &["annotations.xml", "is not XML"]),
        (format!("{head}\n<image id=\"0\"/></annotations>"), &["line 3", "without a name"]),
        (format!("{head}\n<image name=\"a.png\"><box/></image></annotations>"), &["line 3", "`box` without a label"]),
        (format!("{head}<image name=\"a.png\"><box label=\"cow\"/></image></annotations>"), &["`cow`", "not a class"]),
        (format!("{head}\n<image name=\"z.png\"/></annotations>"), &["line 3", "`z.png`", "missing"]),
    ] {
        folder.write("annotations.xml", content);
        assert_refused(&folder, parts);
    }
    let utf16: Vec<u8> = format!("\u{feff}{head}</annotations>").encode_utf16().flat_map(u16::to_le_bytes).collect();
    folder.write("annotations.xml", utf16);
    assert_refused(&folder, &["annotations.xml", "UTF-16"]);
}

/// Protects: MS-COCO as Roboflow and CVAT write it, and tags from detections.
#[test]
fn relatives_of_coco_are_read() {
    let coco = |annotations: &str| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "a.png", "height": 4, "width": 6}}, {{"id": 2, "file_name": "b.png", "height": 4, "width": 6}}],
            "categories": [{{"id": 1, "name": "cat"}}, {{"id": 2, "name": "dog"}}]{annotations}}}"#
        )
    };
    let objects =
        r#", "annotations": [{"id": 1, "image_id": 1, "category_id": 2}, {"id": 2, "image_id": 2, "category_id": 1}]"#;
    let folder = with(&["train/a.png", "train/b.png"]);
    folder.write("train/_annotations.coco.json", coco(objects));
    assert_read(&folder, "MS-COCO (train/_annotations.coco.json)", &["a: dog", "b: cat"], &[]);
    let folder = with(&["images/a.png", "images/b.png"]);
    folder.write("annotations/instances_default.json", coco(objects));
    assert_read(&folder, "MS-COCO", &["a: dog", "b: cat"], &[]);

    let folder = with(&["images/a.png", "images/b.png"]);
    folder.write("annotations/instances_train.json", coco(""));
    let scores = r#"[{"image_id": 1, "category_id": 1, "score": 0.9}, {"image_id": 1, "category_id": 2, "score": 0.2},
        {"image_id": 2, "category_id": 2, "score": 0.5}]"#;
    folder.write("annotations/train_results.json", scores);
    assert_read(&folder, "MS-COCO", &["a: cat", "b: dog"], &["detections of a score of at least 0.5"]);
    folder.write("annotations/train_results.json", scores.replace("\"image_id\": 2", "\"image_id\": 3"));
    assert_refused(&folder, &["train_results.json", "category 2 in image 3"]);
    // The only file of annotations, as Label Studio and FiftyOne export it.
    for (file, images) in
        [("result.json", "images"), ("labels.json", "data"), ("instances_train.json", "train"), ("coco.json", ".")]
    {
        let folder = with(&["a.png", "b.png"].map(|name| format!("{images}/{name}")).each_ref().map(String::as_str));
        folder.write(file, coco(objects));
        assert_read(&folder, &format!("MS-COCO ({file})"), &["a: dog", "b: cat"], &[]);
    }
    folder.write("annotations/instances_train.json", scores);
    assert_refused(&folder, &["instances_train.json", "list of results", "train_results.json"]);
}

/// Protects: a folder of two forms is refused with both names, and the option decides; `check` says what it is.
#[test]
fn two_forms_are_refused() {
    let folder = with(&["cat/a.png", "dog/b.png"]);
    folder.write("labels.csv", "cat/a.png,owl\ndog/b.png,fox\n");
    let parts =
        ["two forms", "a table of tags (labels.csv)", "a folder for each class", "data.form=csv", "data.form=folders"];
    assert_refused(&folder, &parts);
    for (form, classes) in [(DataForm::Csv, ["fox", "owl"]), (DataForm::Folders, ["cat", "dog"])] {
        let splits = Splits::open(folder.path(), options(form), &(), &mut Err).unwrap();
        assert_eq!(splits.train.classes(), classes);
        let chosen = DatasetOptions { form, ..DatasetOptions::default() };
        assert_eq!(Dataset::open(folder.path(), "train", &chosen).unwrap().classes(), classes);
    }
    let checkup = check(folder.path(), options(DataForm::Auto), 1, &());
    assert!(!checkup.sound && checkup.errors[0].reason.contains("two forms"), "{checkup:?}");
    let checkup = check(folder.path(), options(DataForm::Folders), 1, &());
    assert!(checkup.splits[0].notices[0].contains("is read as a folder for each class"), "{checkup:?}");
    let wrong = message(Splits::open(folder.path(), options(DataForm::Yolo), &(), &mut Err));
    assert_names(&wrong, &["form `yolo`", "data.yaml"]);
    // Neither is a stray file of annotations.
    folder.remove("labels.csv");
    folder.write(
        "old.json",
        r#"{"images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}], "categories": []}"#,
    );
    assert_read(&folder, "a folder for each class", &["cat/a: cat", "dog/b: dog"], &[]);
    folder.write("labels.csv", "1,2\n");
    // A stray table beside folders of classes is none of the usual names.
    folder.remove("labels.csv");
    folder.write("notes.csv", "1,2\n");
    assert_read(&folder, "a folder for each class", &["cat/a: cat", "dog/b: dog"], &[]);
    let missing = message(Splits::open(Path::new("no/such"), options(DataForm::Auto), &(), &mut Err));
    assert_names(&missing, &["no/such", "no such folder", "YOLO", "CVAT"]);
}

/// Protects: classes that differ in capitalisation only are refused by name wherever they come from.
#[test]
fn capitalisation_makes_no_class() {
    let folder = with(&["Cat/a.png", "cat/b.png", "dog/c.png"]);
    assert_refused(&folder, &["`Cat` and `cat`", "capitalisation"]);
    let folder = Folder::new();
    folder.write("labels.json", r#"{"classes": ["cat", "CAT"]}"#);
    assert_refused(&folder, &["labels.json", "`cat` and `CAT`"]);
    let folder = with(&["a.png", "b.png"]);
    folder.write(
        "metadata.jsonl",
        "{\"file_name\": \"a.png\", \"tags\": \"Owl\"}\n{\"file_name\": \"b.png\", \"tags\": \"owl\"}\n",
    );
    assert_refused(&folder, &["metadata.jsonl", "`Owl` and `owl`"]);
}

/// Protects: names in labels.json may have the endings of their pictures, and a folder of pictures without tags is told
/// how to get some.
#[test]
fn pictures_beside_labels_are_read() {
    let folder = with(&["a.png"]);
    assert_refused(&folder, &["1 pictures, but no tags", "tagseg tag"]);
    let folder = with(&["a.png", "sub/b.png", "c.png"]);
    folder.write(
        "labels.json",
        r#"{"classes": ["cat", "dog"], "tags": {"a.png": ["cat"], "sub/b.png": ["dog"], "c": []}}"#,
    );
    assert_read(&folder, "images with labels.json", &["a: cat", "c: ", "sub/b: dog"], &[]);
    // Images of other splits are not trained on, whatever the folder is called.
    let folder = with(&["Train/a.png", "Valid/b.png", "test/c.png"]);
    folder.write(
        "labels.json",
        r#"{"classes": ["cat"], "tags": {"Train/a": ["cat"], "Valid/b": ["cat"], "test/c": []}}"#,
    );
    assert_read(&folder, "images with labels.json", &["Train/a: cat"], &["2 images below val/ and test/ are left out"]);
    folder.write("labels.json", r#"{"classes": ["cat"], "tags": {"Train/a": ["cat"], "z.png": ["cat"]}}"#);
    assert_refused(&folder, &["labels.json", "`z.png` has tags", "no such image"]);
}
