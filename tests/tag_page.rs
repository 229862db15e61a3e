//! The page of `tagseg tag` in a browser, with keys and buttons. `make test-browser` runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod chromium;
#[allow(dead_code, reason = "the page makes the other requests")]
#[path = "tag/served.rs"]
mod served;

use std::fs;
use std::path::Path;

use chromium::Page;
use serde_json::json;
use served::{Folder, Served};
use tagseg::data::Rgb8;

const DESKTOP: [usize; 2] = [1080, 900];
const PHONE: [usize; 2] = [390, 844];

fn status_is(page: &mut Page, text: &str) {
    page.wait_for(&format!("document.querySelector('#status').textContent === {text:?}"));
}

/// Clicks a button.
fn click(page: &mut Page, selector: &str) {
    page.evaluate(&format!("document.querySelector({selector:?}).click()"));
}

/// Protects the whole of a person's work by keyboard: tags, undo, filters, new classes, and a second window.
#[test]
fn tags_are_given_by_keys() {
    let folder = Folder::new(&["a.png", "b.png", "c.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat,dog"]);
    let mut page = Page::open(&served.address, DESKTOP, "");
    page.wait_for("document.querySelector('#photo').naturalWidth === 60");
    assert_eq!(page.text("#name"), "a");

    page.press("2");
    status_is(&mut page, "a shows dog.");
    assert_eq!(folder.labels()["tags"], json!({ "a": ["dog"] }));
    page.press("1");
    status_is(&mut page, "a shows cat.");
    page.press("Backspace");
    status_is(&mut page, "Undone for a.");
    assert_eq!(folder.labels()["tags"], json!({ "a": ["dog"] }));
    page.press("Backspace");
    page.wait_for("document.querySelector('#undo').disabled");
    page.wait_for("document.querySelector('#progress').textContent.startsWith('0 of 3')");
    assert_eq!(folder.labels()["tags"], json!({}), "as it was, without an entry");

    page.press("ArrowRight");
    assert_eq!(page.text("#name"), "b");
    page.press("0");
    status_is(&mut page, "b shows none of the classes.");
    page.press("?");
    status_is(&mut page, "b is doubtful.");
    assert_eq!(folder.labels()["doubtful"], json!(["b"]));

    page.evaluate(
        "(() => {
            document.querySelector('#class-name').value = '<i>owl</i>';
            document.querySelector('#new-class').requestSubmit();
        })()",
    );
    status_is(&mut page, "<i>owl</i> is a class now.");
    page.press("3");
    status_is(&mut page, "b shows <i>owl</i>.");
    assert_eq!(folder.labels()["tags"], json!({ "b": ["<i>owl</i>"] }));
    page.press("0");
    status_is(&mut page, "b shows none of the classes.");
    page.press("Backspace");
    status_is(&mut page, "Undone for b.");
    assert_eq!(folder.labels()["tags"], json!({ "b": ["<i>owl</i>"] }));

    for (filter, name) in [("untagged", "a"), ("doubtful", "b"), ("tagged", "b"), ("all", "a")] {
        let change = "dispatchEvent(new Event('change'))";
        page.evaluate(&format!(
            "(() => {{ const f = document.querySelector('#filter'); f.value = '{filter}'; f.{change}; }})()"
        ));
        assert_eq!(page.text("#name"), name, "{filter}");
    }

    let mut other = Page::open(&served.address, PHONE, "");
    other.wait_for("document.querySelectorAll('#classes button').length === 3");
    click(&mut other, "#classes button:nth-child(1)");
    status_is(&mut other, "a shows cat.");
    page.wait_for("document.querySelector('#classes button').ariaPressed === 'true'");
    page.press("2");
    status_is(&mut page, "a shows dog.");
    assert_eq!(folder.labels()["tags"]["a"], json!(["cat", "dog"]), "neither window loses the other's work");

    assert_eq!(other.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "it scrolls sideways");
    keep(&mut page, "tag.png");
    other.prefer("prefers-color-scheme", "dark");
    keep(&mut other, "tag-phone.png");
}

/// Protects: nothing is loaded from elsewhere, and everything has a name for a screen reader.
#[test]
fn the_page_is_whole_and_named() {
    let folder = Folder::new(&["a.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat"]);
    let mut page = Page::open(&served.address, DESKTOP, "");
    page.wait_for("document.querySelector('#photo').naturalWidth === 60");
    let loaded = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)");
    for name in loaded.as_array().unwrap() {
        assert!(name.as_str().unwrap().starts_with(&served.address), "{name} is loaded from elsewhere");
    }
    let nameless = "[...document.querySelectorAll('button, input, select, img:not([hidden])')].filter((element) =>
        !(element.ariaLabel || element.textContent.trim() || element.alt || element.labels?.length)).length";
    assert_eq!(page.evaluate(nameless), 0);
    page.tab_to("#classes button");
    page.press("Enter");
    status_is(&mut page, "a shows cat.");
}

/// Protects: a program that has stopped is told, and nothing is lost in silence.
#[test]
fn a_stopped_program_is_told() {
    let folder = Folder::new(&["a.png"]);
    let served = Served::start(folder.path(), &["--classes", "cat"]);
    let mut page = Page::open(&served.address, DESKTOP, "");
    page.wait_for("document.querySelectorAll('#classes button').length === 1");
    drop(served);
    page.press("1");
    page.wait_for("document.querySelector('#alert').textContent.startsWith('The program does not answer.')");
    assert_eq!(page.evaluate("document.querySelector('#classes button').ariaPressed"), "false");
}

/// Protects the network's opinion: the list begins where it disagrees with the tags, and its seeds are drawn.
#[test]
fn the_network_gives_its_opinion() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Folder::new(&[]);
    for name in ["astronaut.jpg", "chelsea.jpg"] {
        fs::copy(root.join("examples/photos").join(name), folder.path().join(name)).unwrap();
    }
    // Astronaut is right, and Chelsea is no sheep.
    let given =
        json!({ "classes": ["cat", "person", "sheep"], "tags": { "astronaut": ["person"], "chelsea": ["sheep"] } });
    fs::write(folder.file(), given.to_string()).unwrap();
    let model = root.join("models/animals.safetensors");
    let served = Served::start(folder.path(), &["--model", model.to_str().unwrap()]);
    let mut page = Page::open(&served.address, DESKTOP, "");
    page.wait_for("document.querySelector('#progress').textContent === '2 of 2 tagged'");
    page.wait_for("document.querySelector('#name').textContent === 'chelsea'");
    let differing =
        "[...document.querySelectorAll('.differs')].map(({ textContent }) => textContent.trim().split(/ +/)[1])";
    assert_eq!(page.evaluate(differing), json!(["cat", "sheep"]));
    page.wait_for("document.querySelector('#photo').complete");
    keep(&mut page, "tag-disagreement.png");
    page.press("1");
    status_is(&mut page, "chelsea shows cat.");
    page.press("3");
    status_is(&mut page, "chelsea does not show sheep.");
    assert_eq!(page.evaluate(differing), json!([]));
    page.press(" ");
    page.wait_for(
        "document.querySelector('#drawing').naturalWidth === 451 && !document.querySelector('#drawing').hidden",
    );
    keep(&mut page, "tag-network.png");

    let drawing = folder.path().join("drawing");
    fs::write(&drawing, served.get("seeds/1").1).unwrap();
    let [drawing, photo] = [drawing, folder.path().join("chelsea.jpg")].map(|path| Rgb8::read(&path).unwrap());
    let moved = drawing.data.iter().zip(&photo.data).filter(|(drawn, own)| drawn.abs_diff(**own) > 40).count();
    assert!(moved * 10 > photo.data.len(), "the cat is not marked");
}

/// Saves a screenshot next to those of the other page.
fn keep(page: &mut Page, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser-screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), page.screenshot()).unwrap();
}
