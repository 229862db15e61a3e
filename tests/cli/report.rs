//! `tagseg report`: the page of a run, and of several side by side.

use std::fs;

use crate::place::{Place, errors, succeed, tagseg, trained};

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// Protects: the page of a run is made from its folder alone, and has its scores, curves, newest picture and
/// configuration.
#[test]
fn a_run_has_a_page() {
    let place = Place::new();
    let out = place.arg("page.html");
    let said = succeed(&["report", trained().to_str().unwrap(), "--out", &out]);
    assert_eq!(said, format!("open {out}\n"));
    let page = fs::read_to_string(&out).unwrap();
    for part in ["<h1>run</h1>", "6 of 6", "2 of 64²", "step 6", "train.iters", "triangle", "background", ">aff"] {
        assert!(page.contains(part), "`{part}` is missing");
    }
    assert_eq!((count(&page, "<svg"), count(&page, "<img"), count(&page, "<h2>Differences")), (2, 1, 0));
    let newest = fs::read(trained().join("pictures/step_0000006.png")).unwrap();
    assert!(page.contains(&base64(&newest)[..400]), "the newest picture");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "self-contained");
}

/// Base64 without padding, of the first bytes at least.
fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(letters[bits >> shift & 63]))
    };
    bytes.as_chunks::<3>().0.iter().flat_map(|three| group(three)).collect()
}

/// Protects: runs side by side have a line each in every chart, and the options in which they differ; runs of other
/// methods and classes, unfinished runs and runs without checkpoints or pictures have pages, too.
#[test]
fn runs_are_compared() {
    let place = Place::new();
    for (name, more) in [("plain", &["--seed", "1"][..]), ("a<b", &["--set", "method.name=segformer", "--seed", "1"])] {
        let output = place.train_into(name, more).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }
    let out = place.arg("page.html");
    let (plain, other) = (place.arg("plain"), place.arg("a<b"));
    let page = |runs: &[&str]| {
        succeed(&[&["report", "--out", &out, "--title", "Two & more", "--overwrite"], runs].concat());
        fs::read_to_string(&out).unwrap()
    };
    let both = page(&[&plain, &other]);
    assert!(both.contains("<h1>Two &amp; more</h1>") && both.contains("a&lt;b") && !both.contains("a<b"));
    let differing = &both[both.find("Differences of configuration").unwrap()..];
    let differing = &differing[..differing.find("</table>").unwrap()];
    assert_eq!(count(differing, "<tr>"), 2, "a head and one option: {differing}");
    assert!(differing.contains("method.name") && differing.contains("segformer"), "{differing}");
    // Scores of either method, F1, and each loss of either.
    assert_eq!(count(&both, "<img"), 2);
    assert!(both.contains(">Y<sub>c</sub>") && both.contains("<h3>Seg</h3>") && both.contains("<h3>C2s</h3>"));

    let three = page(&[&plain, trained().to_str().unwrap(), &other]);
    assert!(three.contains("s2") && three.contains("background"), "the same classes");
    fs::write(place.path("plain/metrics.jsonl"), "").unwrap();
    fs::remove_dir_all(place.path("plain/checkpoints")).unwrap();
    fs::remove_dir_all(place.path("plain/pictures")).unwrap();
    let begun = page(&[&plain]);
    assert!(begun.contains("No evaluation yet") && begun.contains("0 of 2") && count(&begun, "<img") == 0);
    page(&[&plain, &other]);
}

/// Protects: what is no run is refused in one line, and nothing is written.
#[test]
fn what_is_no_run_has_no_page() {
    let place = Place::new();
    let run = trained().to_str().unwrap();
    let report = |runs: &[&str]| tagseg(&[&["report", "--out", &place.arg("page.html")], runs].concat());
    place.assert_refuses(&mut report(&[&place.data()]), &["data", "it has no config.toml", "tagseg train"]);
    place.assert_refuses(&mut report(&["/no/run"]), &["/no/run", "is not the folder of a run"]);
    place.assert_refuses(&mut report(&[run, run]), &["is given twice"]);
    place.assert_refuses(&mut report(&[run; 9]), &["at most 8"]);
    place.assert_refuses(&mut report(&[]), &["<RUN>"]);
    fs::create_dir(place.path("broken")).unwrap();
    for (config, metrics, parts) in [
        ("[train]\niter = 5\n", "", &["broken", "train.iters"][..]),
        ("seed = 1\n", "{\n", &["metrics.jsonl", "line 1 is not a record"]),
    ] {
        fs::write(place.path("broken/config.toml"), config).unwrap();
        fs::write(place.path("broken/metrics.jsonl"), metrics).unwrap();
        place.assert_refuses(&mut report(&[&place.arg("broken")]), parts);
    }
    fs::write(place.path("page.html"), "mine").unwrap();
    place.assert_refuses(&mut report(&[run]), &["page.html", "already exists", "--overwrite"]);
}
