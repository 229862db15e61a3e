//! Scores and predictions with the protocols of the official release: validation during training, and the final test.

use std::fs;

use serde_json::Value;
use tagseg::data::Rgb8;
use tagseg::data::palette::read_index_png;

use crate::place::{Place, errors, succeed, tagseg, trained};

/// The scores that `eval` prints for [`trained`] with `more` flags.
fn scores(more: &[&str]) -> Value {
    let data = trained().with_file_name("data");
    let (run, data) = (trained().to_str().unwrap(), data.to_str().unwrap());
    serde_json::from_str(&succeed(&[&["eval", run, "--data", data], more, &["--json"]].concat())).unwrap()
}

fn miou(scores: &Value, kind: &str) -> f64 {
    scores[kind]["miou"].as_f64().unwrap_or_else(|| panic!("{kind} in {scores}"))
}

/// Protects: the final test scores every label, with and without CRF; table and files agree.
#[test]
fn the_final_test_scores_all_labels() {
    let place = Place::new();
    let data = trained().with_file_name("data");
    let (run, data) = (trained().to_str().unwrap(), data.to_str().unwrap());
    let (json, csv) = (place.arg("scores.json"), place.arg("counts.csv"));
    let test = ["--protocol", "test", "--crf", "--json", &json, "--confusion", &csv];
    let table = succeed(&[&["eval", run, "--data", data], &test[..]].concat());
    let head = table.lines().next().unwrap().split("  ").map(str::trim).filter(|word| !word.is_empty());
    let columns = ["IoU in %", "segmentation", "fused", "+ CRF", "seeds", "PAR", "AFA", "Y_c"];
    assert_eq!(head.collect::<Vec<_>>(), columns, "{table}");

    let scores: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    for kind in ["seg", "msc", "crf", "cam", "par", "afa", "y_c"] {
        assert!((0.0..=1.0).contains(&miou(&scores, kind)), "{kind}");
        assert!(table.contains(&format!("{:.1}", 100.0 * miou(&scores, kind))), "{kind} in\n{table}");
    }
    let csv = fs::read_to_string(&csv).unwrap();
    assert_eq!(csv.lines().next().unwrap(), "truth \\ prediction,background,disc,square,triangle,ring");
    let counts: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|line| line.split(',').skip(1).map(|count| count.parse().unwrap()).collect()).collect();
    let total: f64 = counts.iter().flatten().sum();
    let right: f64 = (0..5).map(|class| counts[class][class]).sum();
    assert_eq!(right / total, scores["crf"]["pixel_accuracy"].as_f64().unwrap(), "the counts are those of the CRF");
}

/// Protects: the final test at one scale, without mirror images and at the image's own size, equals validation; each of
/// its options changes the scores.
#[test]
fn options_of_the_final_test() {
    let validation = scores(&[]);
    let test = ["--protocol", "test", "--set"];
    let bare = [&test[..], &["test.scales=[1]", "--set", "test.flip=false"]].concat();
    let plain = scores(&bare);
    assert_eq!(plain["seg"], validation["seg"]);
    assert_eq!(plain["msc"], validation["seg"]);
    assert_eq!(plain["cls_f1"], validation["cls_f1"]);
    let whole = scores(&[&test[..], &["test.long_side=0"]].concat());
    assert_eq!(whole["seg"], validation["seg"]);
    for option in ["test.long_side=96", "test.scales=[1.0, 2.0]", "test.fuse=sum", "test.flip=false"] {
        assert_ne!(scores(&[&test[..], &[option]].concat())["msc"], whole["msc"], "{option}");
    }
    let gentle = [&bare[..], &["--crf", "--set", "crf.iterations=0"]].concat();
    assert_eq!(scores(&gentle)["crf"], validation["seg"], "no iteration changes nothing");
}

/// Protects: images of any size and shape become masks for a test server, overlays, seeds and Y_c. Files that are not
/// images are reported and skipped, and the exit code is 1.
#[test]
fn a_folder_is_predicted_with_the_final_test() {
    let place = Place::new();
    let folder = place.path("photos");
    fs::create_dir(&folder).unwrap();
    let sizes = [("a", [40, 150]), ("b", [64, 64]), ("c", [31, 33]), ("d", [40, 150]), ("e", [9, 7])];
    for (name, [height, width]) in sizes {
        let data = (0..height * width * 3).map(|place| (place * place % 251) as u8).collect();
        Rgb8::new(height, width, data).write_png(&folder.join(format!("{name}.png"))).unwrap();
    }
    fs::write(folder.join("notes.txt"), "no image, and not called one").unwrap();
    let (run, out) = (trained().to_str().unwrap(), place.arg("seen"));
    let folder_arg = folder.to_str().unwrap();
    let args = ["predict", run, folder_arg, "--out", &out, "--protocol", "test", "--crf", "--seeds"];
    succeed(&args);
    for (name, size) in sizes {
        for ending in ["", "_seed", "_y_c"] {
            let mask = read_index_png(&place.path("seen").join(format!("{name}{ending}.png"))).unwrap();
            assert_eq!([mask.height, mask.width], size, "{name}{ending}");
            assert!(mask.data.iter().all(|&class| class <= 4), "{name}{ending} holds classes only");
        }
        for ending in ["_overlay", "_seed_overlay"] {
            let picture = Rgb8::read(&place.path("seen").join(format!("{name}{ending}.png"))).unwrap();
            assert_eq!([picture.height, picture.width], size, "{name}{ending}");
        }
    }
    let files = place.path("seen").read_dir().unwrap().count();
    assert_eq!(files, 5 * sizes.len());

    // Folders in a folder are left out, which is said.
    fs::create_dir(folder.join("more")).unwrap();
    fs::copy(folder.join("a.png"), folder.join("more/a.png")).unwrap();
    fs::write(folder.join("broken.jpg"), "no picture at all").unwrap();
    let output = tagseg(&["predict", run, folder_arg, "--out", &place.arg("again")]).output().unwrap();
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("skipped ") && text.contains("broken.jpg"), "{text}");
    assert!(text.contains("skipped 1 folders of images") && text.contains("photos/more; name them"), "{text}");
    assert_eq!(place.path("again").read_dir().unwrap().count(), 2 * sizes.len(), "all other images are written");
}

/// Protects: invalid options are refused in one line.
#[test]
fn an_invalid_protocol() {
    let place = Place::new();
    let refusals: [(&[&str], &[&str]); 6] = [
        (&["--protocol", "tset"], &["tset", "train, test", "'test'"]),
        (&["--set", "test.fuse=mean"], &["`test.fuse`", "max or sum"]),
        (&["--set", "optim.lr=1"], &["`optim.lr`", "fixed by training"]),
        (&["--set", "crf.gaus=1"], &["`crf.gaus`", "`crf.gauss`"]),
        (&["--set", "test.long_side=40"], &["`test.long_side`", "at least 58"]),
        (&["--set", "crf.bilateral=[4, 0, 5]"], &["`crf.bilateral`", "at least 0.1"]),
    ];
    for (flags, parts) in refusals {
        place.assert_refuses(&mut place.eval(trained(), flags), parts);
    }
    fs::create_dir(place.path("empty")).unwrap();
    let (run, empty) = (trained().to_str().unwrap(), place.arg("empty"));
    let mut predict = tagseg(&["predict", run, &empty, "--out", &place.arg("seen")]);
    place.assert_refuses(&mut predict, &["empty", "contains no images"]);
    fs::create_dir(place.path("empty/inner")).unwrap();
    Rgb8::new(4, 4, vec![7; 48]).write_png(&place.path("empty/inner/a.png")).unwrap();
    place.assert_refuses(&mut predict, &["empty", "contains no images", "name its folders", "inner"]);
}
