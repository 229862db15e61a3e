//! `tagseg tag` as a process: its file, its windows, and who may ask it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod served;

use std::fs;

use serde_json::{Value, json};
use served::{Folder, Served, command, refused};
use tagseg::data::{Dataset, DatasetOptions};

fn tags_of(state: &Value, index: usize) -> Value {
    let images = state["images"].as_array().unwrap();
    images.iter().find(|image| image["index"] == index).map_or(Value::Null, |image| image["tags"].clone())
}

/// Protects: what a person has said is in the file at once, in the form that training reads; images without tags are
/// left out, and those that show nothing are not.
#[test]
fn every_change_is_written_at_once() {
    let folder = Folder::new(&["a.png", "sub/b.png", "c.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat, dog"]);
    assert!(!folder.file().exists(), "looking changes nothing");
    let state = served.state(0);
    assert_eq!(state["classes"], json!(["cat", "dog"]));
    let ids: Vec<_> = state["images"].as_array().unwrap().iter().map(|image| image["id"].clone()).collect();
    assert_eq!(ids, ["a", "c", "sub/b"]);

    served.changed(r#"{"image": 0, "add": "dog"}"#);
    assert_eq!(folder.labels(), json!({ "classes": ["cat", "dog"], "tags": { "a": ["dog"] } }));
    served.changed(r#"{"image": 0, "add": "cat"}"#);
    assert_eq!(folder.labels()["tags"], json!({ "a": ["cat", "dog"] }), "in the order of the classes");
    served.changed(r#"{"image": 2, "seen": true}"#);
    served.changed(r#"{"image": 0, "remove": "dog"}"#);
    served.changed(r#"{"image": 0, "doubtful": true}"#);
    let written = json!({ "classes": ["cat", "dog"], "tags": { "a": ["cat"], "sub/b": [] }, "doubtful": ["a"] });
    assert_eq!(folder.labels(), written);

    let opened = Dataset::open(folder.path(), "train", &DatasetOptions::default()).unwrap();
    assert_eq!(opened.ids(), ["a", "sub/b"]);
    assert_eq!([opened.tags(0), opened.tags(1)], [[1.0, 0.0], [0.0, 0.0]]);
    assert!(opened.notices.iter().any(|notice| notice.contains("1 images have no entry")), "{:?}", opened.notices);

    served.changed(r#"{"image": 2, "seen": false}"#);
    served.changed(r#"{"image": 0, "seen": false}"#);
    assert_eq!(folder.labels()["tags"], json!({ "a": ["cat"] }), "only an empty entry is removed");
    served.changed(r#"{"class": "horse"}"#);
    assert_eq!(folder.labels()["classes"], json!(["cat", "dog", "horse"]));
}

/// Protects the work of two windows, and of a person who edits the file meanwhile.
#[test]
fn windows_do_not_lose_each_others_work() {
    let folder = Folder::new(&["a.png", "b.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat,dog"]);
    let seen = served.state(0)["version"].as_u64().unwrap();
    served.changed(r#"{"image": 0, "add": "cat"}"#);
    // The other window has not heard of it.
    served.changed(r#"{"image": 0, "add": "dog"}"#);
    let state = served.state(seen);
    assert_eq!(tags_of(&state, 0), json!(["cat", "dog"]));
    assert_eq!(state["images"].as_array().unwrap().len(), 1, "only what changed is told");

    let seen = state["version"].as_u64().unwrap();
    let edited = json!({ "classes": ["cat", "dog", "cow"], "tags": { "b": ["cow"], "elsewhere": ["cat"] } });
    fs::write(folder.file(), edited.to_string()).unwrap();
    served.changed(r#"{"image": 0, "add": "cow"}"#);
    assert_eq!(tags_of(&served.state(seen), 1), json!(["cow"]));
    assert_eq!(folder.labels()["tags"], json!({ "a": ["cow"], "b": ["cow"], "elsewhere": ["cat"] }));

    // A file that cannot be read is not replaced.
    fs::write(folder.file(), "{").unwrap();
    let (status, line) = served.change(r#"{"image": 0, "add": "cat"}"#);
    assert_eq!((status, line.contains("labels.json: is not a valid labels file")), (500, true), "{line}");
    assert_eq!(fs::read(folder.file()).unwrap(), b"{");
}

/// Protects: a change that cannot be written has not happened.
#[test]
fn a_failed_write_changes_nothing() {
    let folder = Folder::new(&["a.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat"]);
    fs::create_dir_all(folder.file().join("in the way")).unwrap();
    let (status, line) = served.change(r#"{"image": 0, "add": "cat"}"#);
    assert_eq!(status, 500, "{line}");
    assert!(line.contains("labels.json"), "{line}");
    fs::remove_dir_all(folder.file()).unwrap();
    assert_eq!(tags_of(&served.state(0), 0), Value::Null);
}

/// Protects: folders of classes are where tagging starts from, and the first change writes all of their tags; a file in
/// two folders is one image.
#[test]
fn folders_of_classes_become_a_file() {
    let folder = Folder::new(&["cat/1.png", "dog/2.png", "background/3.png"]);
    fs::copy(folder.path().join("cat/1.png"), folder.path().join("dog/again.png")).unwrap();
    let served = Served::start(folder.path(), &[]);
    let state = served.state(0);
    let found: Vec<_> =
        state["images"].as_array().unwrap().iter().map(|image| (&image["id"], &image["tags"])).collect();
    assert_eq!(json!(found), json!([["background/3", []], ["cat/1", ["cat", "dog"]], ["dog/2", ["dog"]]]));
    served.changed(r#"{"image": 2, "add": "cat"}"#);
    let opened = Dataset::open(folder.path(), "train", &DatasetOptions::default()).unwrap();
    assert_eq!(opened.ids(), ["background/3", "cat/1", "dog/2"]);
    assert_eq!([opened.tags(0), opened.tags(1), opened.tags(2)], [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]);
}

/// Protects a person's pictures from other programs and pages: only who knows the address may ask, and no file but the
/// images is served.
#[test]
fn strangers_are_refused() {
    let folder = Folder::new(&["a.png"]);
    fs::write(folder.path().join("notes.txt"), "private").unwrap();
    let served = Served::start(folder.path(), &["--classes", "cat"]);
    let (host, secret) = served.parts();
    assert_eq!(secret.len(), 34, "{secret}");
    let port = host.rsplit(':').next().unwrap();
    let other = format!("/{}/", "0".repeat(32));
    for (line, origin, asked_host, status) in [
        (format!("GET {secret} HTTP/1.1"), None, host.to_owned(), 200),
        (format!("GET {secret}state HTTP/1.1"), None, format!("localhost:{port}"), 200),
        ("GET / HTTP/1.1".to_owned(), None, host.to_owned(), 403),
        (format!("GET {other}state HTTP/1.1"), None, host.to_owned(), 403),
        (format!("GET {} HTTP/1.1", secret.trim_end_matches('/')), None, host.to_owned(), 403),
        // A name of another site that leads to this machine.
        (format!("GET {secret}state HTTP/1.1"), None, format!("example.org:{port}"), 403),
        (format!("GET {secret}state HTTP/1.1"), Some("http://example.org"), host.to_owned(), 403),
        (format!("GET {secret}state HTTP/1.1"), Some("null"), host.to_owned(), 403),
        (format!("GET {secret}image/0 HTTP/1.1"), None, host.to_owned(), 200),
        (format!("GET {secret}image/1 HTTP/1.1"), None, host.to_owned(), 404),
        (format!("GET {secret}image/../notes.txt HTTP/1.1"), None, host.to_owned(), 404),
        (format!("GET {secret}notes.txt HTTP/1.1"), None, host.to_owned(), 404),
        (format!("GET {secret}seeds/0 HTTP/1.1"), None, host.to_owned(), 404),
        (format!("PUT {secret}change HTTP/1.1"), None, host.to_owned(), 404),
    ] {
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let (got, _) = served.send(&format!("{line}\r\nHost: {asked_host}\r\n{origin}\r\n"));
        assert_eq!(got, status, "{line} {asked_host} {origin}");
    }
    assert_eq!(served.send("no HTTP\r\n\r\n").0, 400);
    let head = format!("POST {secret}change HTTP/1.1\r\nHost: {host}\r\n");
    for length in ["65537", "-1", "99999999999999999999", "x"] {
        assert_eq!(served.send(&format!("{head}Content-Length: {length}\r\n\r\n")).0, 400, "{length}");
    }
    let long = format!("GET {secret}state HTTP/1.1\r\nHost: {host}\r\nX: {}", "y".repeat(20_000));
    assert_eq!(served.send(&long).0, 400);
    for (change, words) in [
        ("{", "no change"),
        (r#"{"picture": 0}"#, "no change"),
        (r#"{"image": -1}"#, "no change"),
        (r#"{"image": 7, "add": "cat"}"#, "has no image number 7"),
        (r#"{"image": 0, "add": "dog"}"#, "has no class `dog`"),
        (r#"{"class": " dog"}"#, "lists the class \" dog\""),
        (r#"{"class": "background"}"#, "lists `background` as a class"),
    ] {
        let (status, line) = served.change(change);
        assert!(status >= 400 && line.contains(words), "{change}: {status} {line}");
    }
    assert!(!folder.file().exists());
}

/// Protects: what cannot be tagged is refused with one line that says why.
#[test]
fn what_cannot_be_tagged_is_refused() {
    let folder = Folder::new(&["a.png"]);
    let _served = Served::start(folder.path(), &["--classes", "cat"]);
    let line = refused(&command(folder.path(), &[]).output().unwrap());
    assert!(line.contains("another `tagseg tag` has this folder open"), "{line}");

    let line = refused(&command(&folder.path().join("nowhere"), &[]).output().unwrap());
    assert!(line.contains("no such folder"), "{line}");
    let empty = Folder::new(&[]);
    let line = refused(&command(empty.path(), &[]).output().unwrap());
    assert!(line.contains("contains no images"), "{line}");
    fs::write(empty.path().join("IMG_1.HEIC"), "ftypheic").unwrap();
    let line = refused(&command(empty.path(), &[]).output().unwrap());
    assert!(line.contains("IMG_1.HEIC: is not JPEG") && line.contains("write them as JPEG"), "{line}");
    let line = refused(&command(Folder::new(&["a.png"]).path(), &["--classes", "cat,,dog"]).output().unwrap());
    assert!(line.contains("lists the class \"\""), "{line}");
    let coco = Folder::new(&["train/a.png"]);
    fs::create_dir(coco.path().join("annotations")).unwrap();
    fs::write(coco.path().join("annotations/instances_train.json"), "{}").unwrap();
    let line = refused(&command(coco.path(), &[]).output().unwrap());
    assert!(line.contains("keeps its tags in annotation files"), "{line}");
}
