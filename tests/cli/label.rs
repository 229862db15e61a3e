//! `tagseg label`: pseudo labels as a data set that other networks, and this program, train on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tagseg::data::palette::read_index_png;
use tagseg::data::{Dataset, DatasetOptions, Mask, Rgb8};

use crate::place::{Place, assert_refused, errors, succeed, tagseg, trained};

/// The label command for [`trained`] and its data.
fn label(out: &str, more: &[&str]) -> Vec<String> {
    let data = trained().with_file_name("data");
    let args = ["label", trained().to_str().unwrap(), "--data", data.to_str().unwrap(), "--out", out];
    args.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

fn labelled(out: &str, more: &[&str]) -> String {
    succeed(&label(out, more).iter().map(String::as_str).collect::<Vec<_>>())
}

fn summary(place: &Place, out: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(place.path(out).join("summary.json")).unwrap()).unwrap()
}

fn masks(place: &Place, out: &str) -> Vec<Mask> {
    let folder = place.path(out).join("SegmentationClassAug");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read_index_png(path).unwrap()).collect()
}

fn train_set() -> Dataset {
    Dataset::open(&trained().with_file_name("data"), "train", &DatasetOptions::default()).unwrap()
}

/// Protects: every image of the training split has a label of its size with classes of its own tags only; list, tags and
/// summary describe them; the scores are those that `eval` has for the same labels.
#[test]
fn the_training_set_is_labelled_with_its_tags() {
    let place = Place::new();
    let out = place.arg("labels");
    let printed = labelled(&out, &[]);
    let (dataset, masks) = (train_set(), masks(&place, "labels"));
    assert_eq!(masks.len(), 12);
    for (index, mask) in masks.iter().enumerate() {
        assert_eq!([mask.height, mask.width], dataset.image_size(index).unwrap());
        let tags = dataset.tags(index);
        let found: BTreeSet<u8> = mask.data.iter().copied().collect();
        let allowed = |value: &u8| [0, 255].contains(value) || tags[usize::from(*value) - 1] > 0.5;
        assert!(found.iter().all(allowed), "{found:?} for {tags:?}");
    }
    let list = fs::read_to_string(place.path("labels/ImageSets/Segmentation/train.txt")).unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), dataset.ids());

    let facts = summary(&place, "labels");
    assert_eq!((&facts["kind"], &facts["protocol"]), (&"y_c".into(), &"test".into()));
    assert_eq!((&facts["images"], &facts["scored"], &facts["split"]), (&12.into(), &12.into(), &"train".into()));
    let all: usize = masks.iter().map(|mask| mask.data.len()).sum();
    for (value, class) in facts["classes"].as_array().unwrap().iter().enumerate() {
        let pixels: usize = masks.iter().map(|mask| mask.histogram()[value]).sum();
        assert_eq!(class["share"].as_f64().unwrap(), pixels as f64 / all as f64, "{class}");
        assert_eq!(class["images"], masks.iter().filter(|mask| mask.histogram()[value] > 0).count(), "{class}");
    }
    let data = trained().with_file_name("data");
    let eval = ["eval", trained().to_str().unwrap(), "--data", data.to_str().unwrap(), "--split", "train"];
    let scores: Value =
        serde_json::from_str(&succeed(&[&eval[..], &["--protocol", "test", "--json"]].concat())).unwrap();
    assert_eq!(facts["scores"], scores["y_c"]);
    let miou = format!("mIoU {:.1} on the 12 with a mask", 100.0 * scores["y_c"]["miou"].as_f64().unwrap());
    assert!(printed.contains("12 images labelled by Y_c; 0.0% of the pixels are ignored") && printed.contains(&miou));
}

/// Protects: the kinds of labels, the protocols, the CRF, splits and the limit give what `eval` scores under these names.
#[test]
fn kinds_protocols_and_splits() {
    let place = Place::new();
    let data = trained().with_file_name("data");
    let scores = |flags: &[&str]| -> Value {
        let eval = ["eval", trained().to_str().unwrap(), "--data", data.to_str().unwrap(), "--json"];
        serde_json::from_str(&succeed(&[&eval[..], flags].concat())).unwrap()
    };
    let test = scores(&["--protocol", "test"]);
    for (kind, name) in [("seeds", "cam"), ("PAR", "par"), ("afa", "afa"), ("y_c", "y_c")] {
        labelled(&place.arg(kind), &["--split", "val", "--kind", kind]);
        let facts = summary(&place, kind);
        assert_eq!((&facts["kind"], &facts["images"]), (&name.into(), &6.into()));
        assert_eq!(facts["scores"], test[name], "{kind}");
    }
    labelled(&place.arg("quick"), &["--split", "val", "--protocol", "train", "--kind", "cam"]);
    assert_eq!(summary(&place, "quick")["scores"], scores(&[])["cam"]);

    labelled(&place.arg("confident"), &["--kind", "y_s", "--set", "crf.iterations=3"]);
    let undecided =
        |out: &str| masks(&place, out).iter().flat_map(|mask| mask.data.clone()).filter(|v| *v == 255).count();
    let share = summary(&place, "confident")["ignored"].as_f64().unwrap();
    let pixels: usize = masks(&place, "confident").iter().map(|mask| mask.data.len()).sum();
    assert_eq!(share, undecided("confident") as f64 / pixels as f64);
    assert!(share > 0.0, "a network of six steps is not confident everywhere");
    labelled(&place.arg("refined"), &["--kind", "y_s", "--crf", "--limit", "5"]);
    let (facts, refined) = (summary(&place, "refined"), masks(&place, "refined"));
    assert_eq!((&facts["images"], refined.len(), undecided("refined")), (&5.into(), 5, 0), "the CRF decides all");
    assert!(refined[..] != masks(&place, "confident")[..5]);
}

/// Protects: the segmentation is labelled among background and the tags of an image: where `predict` finds one of them,
/// its label is the same. The CRF knows no other classes either.
#[test]
fn the_segmentation_is_labelled_among_the_tags() {
    let place = Place::new();
    labelled(&place.arg("labels"), &["--kind", "seg"]);
    labelled(&place.arg("refined"), &["--kind", "seg", "--crf"]);
    let images = trained().with_file_name("data").join("JPEGImages");
    let predict = ["predict", trained().to_str().unwrap(), images.to_str().unwrap(), "--out", &place.arg("seen")];
    succeed(&[&predict[..], &["--protocol", "test", "--format", "png"]].concat());
    assert_eq!(summary(&place, "labels")["kind"], "seg");
    let (dataset, labels, refined) = (train_set(), masks(&place, "labels"), masks(&place, "refined"));
    let (mut kept, mut close, mut changed) = (0, 0, 0);
    for (index, label) in labels.iter().enumerate() {
        let (id, tags) = (&dataset.ids()[index], dataset.tags(index));
        let seen = read_index_png(&place.path(&format!("seen/{id}.png"))).unwrap();
        let allowed = |value: u8| value == 0 || tags[usize::from(value) - 1] > 0.5;
        for (value, seen) in label.data.iter().zip(&seen.data) {
            assert!(allowed(*value), "{id}: {value} where {seen} is predicted");
            match value == seen {
                true => kept += 1,
                false if allowed(*seen) => close += 1,
                false => changed += 1,
            }
        }
        assert!(refined[index].data.iter().all(|&value| allowed(value)), "{id}: {tags:?}");
    }
    // Images in a batch and one by one may round differently, where two classes are as probable.
    assert!(kept > 1000 * close && changed > 0 && refined != labels, "{kept} kept, {close} close, {changed} changed");
}

/// Protects: the labels with the images are a data set that a supervised network trains on, and the copies are the files
/// themselves.
#[test]
fn a_supervised_network_trains_on_the_labels() {
    let place = Place::new();
    labelled(&place.arg("labels"), &["--protocol", "train", "--images"]);
    let images = trained().with_file_name("data").join("JPEGImages");
    assert_eq!(fs::read_dir(place.path("labels/JPEGImages")).unwrap().count(), 12);
    for entry in fs::read_dir(place.path("labels/JPEGImages")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::read(&path).unwrap(), fs::read(images.join(path.file_name().unwrap())).unwrap());
    }
    let labels = Dataset::open(&place.path("labels"), "train", &DatasetOptions::default()).unwrap();
    assert_eq!(labels.classes(), train_set().classes());
    assert!((0..12).all(|index| labels.tags(index) == train_set().tags(index)));
    assert_eq!(labels.mask(3).unwrap(), masks(&place, "labels")[3]);
    let (data, run) = (place.arg("labels"), place.arg("supervised"));
    let sizes = ["--steps", "2", "--batch", "2", "--crop", "64", "--set", "method.name=segformer"];
    succeed(&[&["train", "--preset", "nano", "--data", &data, "--out", &run], &sizes[..]].concat());
}

/// Protects: a network that learned from masks has no Y_c; without a name, its labels are those along its affinity.
#[test]
fn each_method_has_its_labels() {
    let place = Place::new();
    for (method, kind) in [("segformer", "afa"), ("afa", "y_c")] {
        let run = format!("run_{method}");
        let output = place.train_into(&run, &["--set", &format!("method.name={method}")]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let out = place.arg(method);
        succeed(&["label", &place.arg(&run), "--data", &place.data(), "--out", &out, "--limit", "2"]);
        assert_eq!(summary(&place, method)["kind"], kind, "{method}");
    }
    let refused = ["label", &place.arg("run_segformer"), "--data", &place.data(), "--out", &place.arg("no")];
    let parts = ["`--kind`", "`segformer` makes no labels `y_c`", "cam, par, afa"];
    place.assert_refuses(&mut tagseg(&[&refused[..], &["--kind", "y_c"]].concat()), &parts);
}

/// Protects: invalid input is refused in one line, before anything is written; existing labels are only overwritten
/// when that is asked for.
#[test]
fn invalid_labelling_is_refused() {
    let place = Place::new();
    let out = place.arg("labels");
    let refuse = |args: &[String], parts: &[&str]| {
        place.assert_refuses(&mut tagseg(&args.iter().map(String::as_str).collect::<Vec<_>>()), parts);
    };
    refuse(&label(&out, &["--kind", "best"]), &["`best`", "cam, par, afa, y_c, y_s"]);
    refuse(&label(&out, &["--kind", "par", "--protocol", "train"]), &["`par`", "--protocol test"]);
    refuse(&label(&out, &["--split", "test"]), &["there is no split `test`"]);
    refuse(&label(&out, &["--limit", "0"]), &["--limit <N>"]);
    refuse(&label(&out, &["--set", "sigma_c=0.5"]), &["sigma_c", "fixed by training"]);
    let data = trained().with_file_name("data");
    refuse(&label(data.to_str().unwrap(), &["--overwrite"]), &["is the data set itself"]);
    fs::write(place.path("file"), "").unwrap();
    refuse(&label(&place.arg("file"), &[]), &["is a file"]);

    labelled(&out, &["--limit", "3", "--protocol", "train"]);
    refuse(&label(&out, &[]), &["labels", "already exists", "--overwrite"]);
    labelled(&out, &["--overwrite"]);
    assert_eq!(masks(&place, "labels").len(), 12);

    // A list that leads out of the folder of images, and a mask that cannot be read.
    fs::copy(place.path("data/JPEGImages/train_0001.jpg"), place.path("data/outside.jpg")).unwrap();
    place.edit("labels.json", "\"train_0001\"", "\"../outside\"");
    place.edit("ImageSets/Segmentation/train.txt", "train_0001", "../outside");
    let own = |more: &[&str]| {
        let args = ["label", trained().to_str().unwrap(), "--data", &place.data(), "--out", &place.arg("own")];
        tagseg(&[&args[..], more].concat())
    };
    place.assert_refuses(&mut own(&[]), &["`../outside`", "would be outside of"]);
    place.spoil_mask("val_0001", 9);
    place.assert_refuses(&mut own(&["--split", "val"]), &["val_0001.png", "9"]);
    let output = own(&["--split", "val", "--skip-broken"]).output().unwrap();
    assert!(output.status.success() && errors(&output).contains("not scored: "), "{}", errors(&output));
    assert_eq!((&summary(&place, "own")["images"], &summary(&place, "own")["scored"]), (&2.into(), &1.into()));
}

/// Protects: copied images are those that the labels are of, also where the data set turns photographs as their EXIF
/// orientation says and names their endings in another way. What training would not read is refused.
#[test]
fn copied_images_fit_their_labels() {
    let place = Place::new();
    let garden = place.path("garden");
    for (class, step) in [("disc", 5), ("square", 6), ("triangle", 7), ("ring", 8)] {
        fs::create_dir_all(garden.join(class)).unwrap();
        let data = (0..3 * 40 * 50).map(|at| (at * step % 251) as u8).collect();
        Rgb8::new(40, 50, data).write_png(&garden.join(class).join("a.PnG")).unwrap();
    }
    let turned = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/images/turned.jpg");
    fs::copy(&turned, garden.join("disc/b.jpg")).unwrap();
    let (network, data) = (trained().to_str().unwrap(), place.arg("garden"));
    let label = |out: &str, more: &[&str]| {
        let args = ["label", network, "--data", &data, "--out", &place.arg(out), "--images"];
        tagseg(&[&args, &["--kind", "seg", "--protocol", "train"][..], more].concat())
    };
    place.assert_refuses(&mut label("garden/labels", &[]), &["garden/labels: is in the data set"]);
    place.assert_refuses(&mut label("labels", &["--format", "png,cvat"]), &["--images", "--format png"]);
    place.assert_refuses(&mut label("labels", &["--format", "overlay"]), &["--images", "--format png"]);
    let output = label("labels", &["--format", "png,overlay"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));

    let copies = place.path("labels/JPEGImages");
    assert_eq!(fs::read(copies.join("ring/a.png")).unwrap(), fs::read(garden.join("ring/a.PnG")).unwrap());
    let labels = Dataset::open(&place.path("labels"), "train", &DatasetOptions::default()).unwrap();
    assert_eq!(labels.len(), 5);
    for index in 0..5 {
        let (image, mask) = (labels.image(index).unwrap(), labels.mask(index).unwrap());
        assert_eq!([image.height, image.width], [mask.height, mask.width], "{}", labels.ids()[index]);
    }
    let of_turned = labels.ids().iter().position(|id| id == "disc/b").unwrap();
    assert_eq!(labels.image(of_turned).unwrap(), Rgb8::read_upright(&turned).unwrap());
    let masks = ["SegmentationClassAug", "overlays", "ImageSets", "labels.json", "summary.json"];
    for other in masks.map(|name| place.path("labels").join(name)) {
        fs::remove_dir_all(&other).or_else(|_| fs::remove_file(&other)).unwrap();
    }
    place.assert_refuses(&mut label("labels", &[]), &["JPEGImages", "already exists", "--overwrite"]);
}

/// Protects: unknown forms, two forms in one file and existing annotations are refused before anything is written.
#[test]
fn invalid_forms_are_refused() {
    let place = Place::new();
    let (image, out) = (place.arg("data/JPEGImages/val_0001.jpg"), place.arg("seen"));
    let predict =
        |form: &str| tagseg(&["predict", trained().to_str().unwrap(), &image, "--out", &out, "--format", form]);
    place.assert_refuses(&mut predict("png,pdf"), &["`pdf`", "png, overlay, coco"]);
    place.assert_refuses(&mut predict(""), &["--format"]);
    let twice = ["annotations.json", "written twice", "one --format"];
    place.assert_refuses(&mut predict("coco,coco-polygons"), &twice);
    let label = label(&place.arg("labels"), &["--format", "coco,png,coco-polygons"]);
    place.assert_refuses(&mut tagseg(&label.iter().map(String::as_str).collect::<Vec<_>>()), &twice);

    let output = predict("yolo-seg,csv,csv").output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let files: BTreeSet<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, ["areas.csv", "data.yaml", "labels"].map(String::from).into(), "only what was asked for");
    place.assert_refuses(&mut predict("yolo-seg"), &["data.yaml", "already exists", "--overwrite"]);
    place.assert_refuses(&mut predict("csv"), &["areas.csv", "already exists"]);
}

/// Protects: labels of photographs as large as a screen need no more memory than any device binds, and none are written
/// into folders of classes.
#[test]
fn large_photographs_are_labelled() {
    let place = Place::new();
    let garden = place.path("garden");
    for (class, size) in [("disc", [760, 1020]), ("square", [40, 50]), ("triangle", [40, 60]), ("ring", [40, 70])] {
        fs::create_dir_all(garden.join(class)).unwrap();
        let data = (0..3 * size[0] * size[1]).map(|at| (at * 7 % 251) as u8).collect();
        Rgb8::new(size[0], size[1], data).write_png(&garden.join(class).join("a.png")).unwrap();
    }
    let (network, data) = (trained().to_str().unwrap(), place.arg("garden"));
    let label = |out: &str, more: &[&str]| {
        let small = ["--set", "test.long_side=64", "--set", "test.scales=[1]"];
        let mut command = tagseg(&["label", network, "--data", &data, "--out", out]);
        command.args(small).args(more).env("TAGSEG_LIMITS", "default");
        command
    };
    place.assert_refuses(&mut label(&place.arg("garden/own/labels"), &[]), &["own/labels: is in the data set"]);
    // The weights of PAR are 48 numbers for each pixel.
    let par = label(&place.arg("par"), &["--kind", "par"]).output().unwrap();
    assert_refused(&par, &["disc/a.png: is too large", "scale it"]);
    for kind in ["y_c", "seg"] {
        let output = label(&place.arg(kind), &["--kind", kind]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let mask = read_index_png(&place.path(kind).join("SegmentationClassAug/disc/a.png")).unwrap();
        assert_eq!([mask.height, mask.width], [760, 1020], "{kind}");
    }
}
