//! Photographs: the network and the weights that come with the program, and a person's own folders.

use std::fs;
use std::path::Path;

use tagseg::data::Rgb8;
use tagseg::data::palette::read_index_png;
use tagseg::data::resize::resize_bilinear;

use crate::place::{Place, errors, succeed, tagseg};

/// Protects the first minute: a photograph is segmented without a run, and the cat is found.
#[test]
fn a_photograph_without_a_run() {
    let place = Place::new();
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/chelsea.jpg");
    succeed(&["predict", photo.to_str().unwrap(), "--out", &place.arg("seen")]);
    let mask = read_index_png(&place.path("seen/chelsea.png")).unwrap();
    assert_eq!([mask.height, mask.width], [300, 451]);
    let cat = mask.data.iter().filter(|&&class| class == 1).count() as f64 / mask.data.len() as f64;
    assert!(cat > 0.3, "only {cat:.2} of the picture is a cat");
    assert!(place.path("seen/chelsea_overlay.png").is_file());
    let nothing = tagseg(&["predict", &place.arg("run")]).output().unwrap();
    assert!(errors(&nothing).contains("no images to segment"), "{}", errors(&nothing));
}

/// Protects photographs of any shape, depth and colour space: each gets a mask of its own size. One that is too large to
/// decode is refused by name.
#[test]
fn odd_photographs() {
    let place = Place::new();
    let folder = place.path("odd");
    fs::create_dir(&folder).unwrap();
    let sizes = [("dot", [1, 1]), ("long", [3, 20_000]), ("high", [1000, 2])];
    for (name, [height, width]) in sizes {
        let data = (0..height * width * 3).map(|place| (place * 7 % 251) as u8).collect();
        Rgb8::new(height, width, data).write_png(&folder.join(format!("{name}.png"))).unwrap();
    }
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/images");
    let others = ["cmyk.jpg", "ycck.jpg", "deep_grey.png", "deep_colour.png", "turned.jpg"];
    for name in others {
        fs::copy(images.join(name), folder.join(name)).unwrap();
    }
    succeed(&["predict", folder.to_str().unwrap(), "--out", &place.arg("seen")]);
    for name in others {
        let mask = read_index_png(&place.path("seen").join(name).with_extension("png")).unwrap();
        let photo = Rgb8::read_upright(&images.join(name)).unwrap();
        assert_eq!([mask.height, mask.width], [photo.height, photo.width], "{name}");
    }
    for (name, size) in sizes {
        let mask = read_index_png(&place.path("seen").join(format!("{name}.png"))).unwrap();
        assert_eq!([mask.height, mask.width], size, "{name}");
    }
    let huge = place.path("huge.png");
    let mut bytes = fs::read(folder.join("dot.png")).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let checksum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    fs::write(&huge, bytes).unwrap();
    let refused = tagseg(&["predict", huge.to_str().unwrap(), "--out", &place.arg("none")]).output().unwrap();
    let text = errors(&refused);
    assert!(text.contains("huge.png") && text.contains("more pixels than fit"), "{text}");
}

/// Protects photographs of many pixels, as telephones take them: a mask of the same size, that of a smaller copy. What is
/// hidden is left out, and a link to nothing, or a picture in a format that is not read, is reported.
#[test]
fn large_photographs() {
    let place = Place::new();
    let folder = place.path("telephone");
    fs::create_dir(&folder).unwrap();
    let photo = Rgb8::read_upright(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/chelsea.jpg")).unwrap();
    let large = resize_bilinear(&photo, 2400, 3608);
    large.write_jpeg(&folder.join("large.jpg"), 90).unwrap();
    photo.write_jpeg(&folder.join("small.jpg"), 90).unwrap();
    fs::write(folder.join("._small.jpg"), "of another system").unwrap();
    let (folder, out) = (folder.to_str().unwrap(), place.arg("seen"));
    succeed(&["predict", folder, "--out", &out, "--format", "png,csv"]);
    let [large, small] =
        ["large", "small"].map(|name| read_index_png(&place.path(&format!("seen/{name}.png"))).unwrap());
    assert_eq!([large.height, large.width], [2400, 3608]);
    let same = (0..300 * 451).filter(|at| {
        let (row, column) = (at / 451, at % 451);
        small.data[*at] == large.data[(8 * row + 4) * 3608 + 8 * column + 4]
    });
    let same = same.count() as f64 / f64::from(300 * 451);
    assert!(same > 0.98, "{same:.3} of the pixels");
    assert_eq!(fs::read_to_string(place.path("seen/areas.csv")).unwrap().lines().count(), 15, "seven classes of each");

    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.jpg", place.path("telephone/lost.jpg")).unwrap();
        fs::write(place.path("telephone/photo.heic"), "ftypheic").unwrap();
        let heic = place.arg("telephone/photo.heic");
        let some = tagseg(&["predict", folder, &heic, "--out", &out, "--overwrite"]).output().unwrap();
        let text = errors(&some);
        assert_eq!(some.status.code(), Some(1), "{text}");
        assert!(text.contains("lost.jpg") && text.contains("photo.heic: is not JPEG, PNG"), "{text}");
    }
    // Formats of cameras begin like TIFF.
    fs::write(place.path("raw.cr2"), b"II*\0 and what cameras add").unwrap();
    let none = tagseg(&["predict", &place.arg("raw.cr2"), "--out", &place.arg("none")]).output().unwrap();
    assert_eq!(none.status.code(), Some(1), "{}", errors(&none));
    assert!(errors(&none).contains("raw.cr2: does not decode"), "{}", errors(&none));
    assert!(!place.path("none").exists(), "no folder without a result");
}

/// Protects the walk of docs/own-photos.md: photographs in a folder for each class become a network, from the weights
/// that come with the program, the next run starts from it, and another learns from the masks that it draws.
#[test]
fn own_folders_are_learned() {
    let place = Place::new();
    let garden = place.path("garden");
    for (class, first) in [("disc", 0_u8), ("square", 100), ("background", 200)] {
        fs::create_dir_all(garden.join(class)).unwrap();
        for index in 0..3_u8 {
            let level = |place: usize| first.wrapping_add(index * 9).wrapping_add((place % 61) as u8);
            let photo = Rgb8::new(60, 80, (0..60 * 80 * 3).map(level).collect());
            photo.write_jpeg(&garden.join(class).join(format!("IMG_{index}.jpg")), 90).unwrap();
        }
    }
    let (data, run, next) = (place.arg("garden"), place.arg("own"), place.arg("next"));
    let found = succeed(&["check", &data]);
    assert!(found.contains("disc (3)") && found.contains("square (3)"), "{found}");
    let sizes = ["--steps", "3", "--batch", "2", "--crop", "32", "--set", "data.long_side=48"];
    succeed(&[&["train", "--data", &data, "--out", &run], &sizes[..]].concat());
    succeed(&[&["train", "--data", &data, "--out", &next, "--weights", &run], &sizes[..]].concat());
    succeed(&["predict", &next, &place.arg("garden/disc"), "--out", &place.arg("seen")]);
    assert_eq!(place.path("seen").read_dir().unwrap().count(), 6, "a mask and an overlay of each");
    let (labels, again) = (place.arg("labels"), place.arg("again"));
    let label = ["label", &run, "--data", &data, "--kind", "seg", "--crf", "--images", "--format", "png,overlay"];
    succeed(&[&label[..], &["--out", &labels]].concat());
    assert_eq!(place.path("labels/overlays").read_dir().unwrap().count(), 3, "a folder for each class");
    let supervised = ["--data", &labels, "--out", &again, "--set", "method.name=segformer"];
    succeed(&[&["train"], &supervised[..], &sizes].concat());

    let other = ["--set", "model.backbone=efficientnet_lite1"];
    let refused = tagseg(&[&["train", "--data", &data, "--out", &place.arg("lite1")], &other[..]].concat()).output();
    let text = errors(&refused.unwrap());
    for part in ["`model.start`", "efficientnet_lite1", "efficientnet_lite0", "--weights"] {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    assert!(!place.path("lite1").exists());
}
