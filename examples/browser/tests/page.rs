//! The built page in a browser: its results equal those of the native program, it can be used with mouse, keyboard and
//! phone, and invalid input gets a message. `make test-browser` builds the page and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../../tests/chromium/mod.rs"]
mod chromium;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use chromium::Page;
use serde_json::Value;
use tagseg::config::Config;
use tagseg::data::Rgb8;
use tagseg::data::shapes::{Split, picture};
use tagseg::engine::gpu::Plan;
use tagseg::engine::kernel::Target;
use tagseg::engine::kernel::wgsl::render;
use tagseg::method::{Methods, Schedule, Sizes, Step};
use tagseg::parts::network::NetworkConfig;
use tagseg_browser::{Lesson, Network};

const DESKTOP: [usize; 2] = [1080, 900];
const PHONE: [usize; 2] = [390, 844];
const READY: &str = "document.querySelector('#look-status').textContent.includes('it sees')";

/// The built page in a browser, and its server.
struct Served {
    page: Page,
    server: Child,
}

impl Served {
    /// Opens it in a window of `size`, after running `before` in it.
    fn open(size: [usize; 2], before: &str) -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_tagseg-browser"));
        let mut server = server.args(["serve", built().to_str().unwrap(), "0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Served { page: Page::open(address.trim(), size, before), server }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.kill().and_then(|()| self.server.wait()).unwrap();
    }
}

impl Deref for Served {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

/// The folder that `make browser` creates.
fn built() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/browser");
    assert!(folder.join("index.html").is_file(), "run `make browser` first");
    folder
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Within the limits of the golden cases: `absolute + 1e-4 |want|`.
fn assert_close(got: &[f64], want: &[f64], absolute: f64) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= absolute + 1e-4 * want.abs(), "{got} in the browser, {want} here");
    }
}

/// Protects: the same results on both platforms, in evaluation and in training.
#[test]
fn it_computes_what_the_program_computes() {
    let session = tagseg::run::device::open("auto").unwrap();
    let weights = fs::read(built().join("animals.safetensors")).unwrap();
    let mut network = Network::new(&session, "animals.safetensors", &weights).unwrap();
    let tags = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0];

    let mut page = Served::open(DESKTOP, "");
    page.wait_for(READY);
    for (index, side) in [(0, 64), (3, 75)] {
        let (image, _) = picture(Split::Val, index, side, 1);
        let here = pollster::block_on(network.look(&image, &tags)).unwrap();
        let there = page.evaluate(&format!(
            "(async () => {{
                const module = await import('./tagseg_browser.js');
                const weights = await (await fetch('animals.safetensors')).arrayBuffer();
                const network = new module.Network(await module.Device.open(), 'animals', new Uint8Array(weights));
                const {{ width, rgba }} = module.shapes({index}, {side});
                const sight = await network.look(width, rgba, {tags:?});
                return [[...sight.logits], [...sight.prediction], sight.pictures.map(({{ name }}) => name)];
            }})()"
        ));
        let logits: Vec<_> = here.logits.iter().map(|&logit| f64::from(logit)).collect();
        assert_close(&numbers(&there[0]), &logits, 4e-5);
        let labels = numbers(&there[1]);
        assert_eq!(labels.len(), here.prediction.len());
        let differing = labels.iter().zip(&here.prediction).filter(|(got, want)| **got != f64::from(**want)).count();
        assert!(differing as f64 <= 5e-4 * labels.len() as f64, "{differing} of {} labels differ", labels.len());
        assert_eq!(there[2], serde_json::json!(["image", "seed", "prediction"]));
    }

    let mut lesson = Lesson::new(&session, 20, 1).unwrap();
    for _ in 0..6 {
        pollster::block_on(lesson.step()).unwrap();
    }
    let here = lesson.totals();
    let there = page.evaluate(
        "(async () => {
            const module = await import('./tagseg_browser.js');
            const lesson = new module.Lesson(await module.Device.open(), 20, 1);
            while (lesson.done < 6) await lesson.step();
            return [...lesson.totals];
        })()",
    );
    assert_close(&numbers(&there), &here, 1.3e-3);
}

/// Protects: the browser's compiler, which is stricter than naga, accepts every kernel of training in its first and its
/// last phase, for software and hardware.
#[test]
fn the_browser_compiles_every_kernel() {
    // wgpu offers no subgroups in a browser.
    let software = Target { subgroup_products: false, ..Target::software() };
    let mut kernels = BTreeMap::new();
    for (preset, crop) in [("nano", 64), ("voc", 128), ("photos", 64)] {
        let config = Config::preset(preset).unwrap();
        let (method, network) = (Methods::default().of(&config).unwrap(), NetworkConfig::new(&config, 20).unwrap());
        let schedule = Schedule::new(&method, &config, &network.encoder);
        let sizes = Sizes { batch: 2, crop: [crop; 2], slots: 4 };
        for n in [0, config.train_iters - 1] {
            let step = Step::record(&method, &config, &network, &schedule.phase(n), sizes, true).unwrap();
            step.update().unwrap();
            for target in [software, Target::graphics()] {
                let steps = Plan::new(&step.graph, &[], target).steps;
                let launches = steps.iter().flat_map(|step| &step.launches.list);
                kernels.extend(launches.map(|launch| (render(launch).unwrap(), launch.shader.name)));
            }
        }
    }
    assert!(kernels.len() > 50, "only {} kernels were found", kernels.len());
    let kernels: Vec<_> = kernels.into_iter().collect();
    let refused = Served::open(PHONE, "").evaluate(&format!(
        "(async () => {{
            const device = await (await navigator.gpu.requestAdapter()).requestDevice();
            const refused = [];
            for (const [code, name] of {}) {{
                const {{ messages }} = await device.createShaderModule({{ code }}).getCompilationInfo();
                const errors = messages.filter(({{ type }}) => type === 'error');
                refused.push(...errors.map(({{ message }}) => `${{name}}: ${{message}}`));
            }}
            return refused.join('\\n');
        }})()",
        serde_json::to_string(&kernels).unwrap()
    ));
    assert_eq!(refused, "");
}

/// Protects: everything can be reached and used without a pointing device, and is labelled for screen readers;
/// a phone shows the whole width.
#[test]
fn a_person_can_use_it() {
    let mut page = Served::open(DESKTOP, "");
    page.wait_for(READY);
    let unseen = "[...document.images].filter(({ naturalWidth }) => naturalWidth === 0).length";
    assert_eq!(page.evaluate(unseen), 0, "pictures that the page does not load");
    // Those of the README.
    for (name, size) in [("first.png", [800, 900]), ("first-on-a-phone.png", PHONE)] {
        page.resize(size);
        keep_screenshot(&mut page, name);
    }
    page.resize(DESKTOP);

    page.tab_to("#samples button:nth-child(2)");
    page.press("Enter");
    page.wait_for("document.querySelector('#look-status').textContent.startsWith('In astronaut.jpg')");
    let seeds = "[...document.querySelectorAll('#seen figcaption')].some(({ textContent }) => textContent === 'seed')";
    // Without tags there are no seeds.
    while page.evaluate("document.querySelector('#tags [aria-pressed=true]') !== null") == true {
        page.evaluate("document.activeElement.blur()");
        page.tab_to("#tags [aria-pressed=true]");
        let before = page.text("#look-status");
        page.press(" ");
        page.wait_for(&format!("document.querySelector('#look-status').textContent.trim() !== {before:?}"));
    }
    assert_eq!(page.evaluate(seeds), false);
    page.tab_to("#tags button");
    page.press("Enter");
    page.wait_for(seeds);
    page.tab_to("#file");

    page.tab_to("#learn");
    page.press("Enter");
    page.wait_for(
        "document.querySelector('#progress').value >= 2 && document.querySelector('#glimpses canvas') !== null",
    );
    page.press("Enter");
    page.wait_for("document.querySelector('#learn-status').textContent.startsWith('Paused')");
    assert!(page.evaluate("document.querySelector('#curves svg').getAttribute('aria-label')").is_string());
    let nameless = "[...document.querySelectorAll('canvas, button, input, progress')].filter((element) =>
        !(element.matches('[aria-label]') || element.querySelector('[aria-label], [alt]') ||
            element.textContent || element.labels?.length)).length";
    assert_eq!(page.evaluate(nameless), 0);

    for (size, scheme) in [(DESKTOP, "light"), (PHONE, "dark")] {
        page.resize(size);
        page.prefer("prefers-color-scheme", scheme);
        assert_eq!(
            page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
            true,
            "{size:?} scrolls sideways"
        );
        keep_screenshot(&mut page, &format!("{}-{scheme}.png", size[0]));
    }
}

/// Protects: a visitor loads less than 10 MB, and waits less than 10 s for a photograph.
#[test]
fn it_is_small_and_quick() {
    let size = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
    let bytes: u64 = fs::read_dir(built()).unwrap().map(size).sum();
    assert!(bytes < 10_000_000, "the page has {bytes} bytes");
    let program = fs::metadata(built().join("tagseg_browser_bg.wasm")).unwrap().len();
    let mebibytes = program as f64 / f64::from(1 << 20);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let told = readme.split_once("WebAssembly (").and_then(|(_, rest)| rest.split(' ').next()).unwrap();
    // Another version of the compiler makes another size.
    let share = mebibytes / told.parse::<f64>().unwrap();
    assert!((0.95..1.05).contains(&share), "the README says {told} MiB, but the program has {mebibytes:.2}");

    let mut page = Served::open(DESKTOP, "");
    page.wait_for(READY);
    let seconds = page.evaluate(
        "(async () => {
            const status = document.querySelector('#look-status');
            const start = performance.now();
            document.querySelector('#samples button:nth-child(2)').click();
            while (!status.textContent.startsWith('In astronaut.jpg')) await new Promise((go) => setTimeout(go, 50));
            return (performance.now() - start) / 1000;
        })()",
    );
    println!("{bytes} bytes; {seconds} s for a photograph");
    assert!(seconds.as_f64().unwrap() < 10.0, "a photograph takes {seconds} s");
}

/// Protects: a wrong file is reported, and the page still works.
#[test]
fn bad_input_gets_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("notes.txt"), "no picture").unwrap();
    fs::write(at("broken.png"), b"\x89PNG\r\n\x1a\nand no more").unwrap();
    Rgb8::new(1, 1, vec![200; 3]).write_png(&at("dot.png")).unwrap();
    let photo = |place| ((place / 7) % 251) as u8;
    Rgb8::new(3648, 5472, (0..3648 * 5472 * 3).map(photo).collect()).write_jpeg(&at("photo.jpg"), 90).unwrap();

    let mut page = Served::open(PHONE, "");
    page.wait_for(READY);
    for (name, sentence) in [
        ("notes.txt", "notes.txt is not a picture that this browser can read; choose a JPEG, PNG or WebP file."),
        ("broken.png", "broken.png is not a picture that this browser can read; choose a JPEG, PNG or WebP file."),
        ("dot.png", "dot.png is only 1 × 1 pixels; choose one of 16 × 16 or more."),
    ] {
        page.choose(&at(name));
        page.wait_for(&format!("document.querySelector('#alert').textContent.startsWith({name:?})"));
        assert_eq!(page.text("#alert"), sentence);
    }
    page.choose(&at("photo.jpg"));
    page.wait_for("document.querySelector('#look-status').textContent.startsWith('In photo.jpg')");
    assert!(page.text("#look-status").contains("photo.jpg, scaled from 5472 × 3648 to 320 × 213 pixels, it sees"));
    assert_eq!(page.evaluate("document.querySelector('#alert').hidden"), true);
    assert_loads_its_files_only(&mut page);
}

/// Protects the promise that no picture leaves the page: all that it has asked its server for is files of its own, and the
/// browser lets it ask nobody else.
fn assert_loads_its_files_only(page: &mut Page) {
    let asked = page.evaluate(
        "performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => !/^(data|blob):/.test(name))",
    );
    let asked: Vec<_> = asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert!(asked.iter().any(|name| name.ends_with("/animals.safetensors")), "{asked:?}");
    let origin = page.evaluate("location.origin + '/'");
    for name in &asked {
        let file = name.strip_prefix(origin.as_str().unwrap());
        assert!(file.is_some_and(|file| built().join(file).is_file()), "{name} is no file of the page");
    }
    let refused = page.evaluate(
        "new Promise((tell) => {
            document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => tell(violatedDirective));
            fetch('http://127.0.0.1:9/', { method: 'POST', body: 'a picture', mode: 'no-cors' }).catch(() => {});
        })",
    );
    assert_eq!(refused, "connect-src");
}

/// Protects: a browser without WebGPU, or without an adapter, says so instead of doing nothing.
#[test]
fn a_browser_that_cannot_says_so() {
    for (before, sentence) in [
        ("Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined })", "This browser has no WebGPU"),
        ("GPU.prototype.requestAdapter = async () => null", "offers no graphics adapter"),
    ] {
        let mut page = Served::open(PHONE, before);
        page.wait_for("!document.querySelector('#alert').hidden");
        let alert = page.text("#alert");
        assert!(alert.contains(sentence), "{alert}");
    }
}

/// Protects: the server never serves files outside its folder, and reports what is missing.
#[test]
fn the_helper_says_what_is_wrong() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tagseg-browser")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&[]).contains("serve DIR"));
    assert!(run(&["serve", "/nowhere"]).contains("make browser"));
    assert!(run(&["serve", built().to_str().unwrap(), "x"]).contains("`x` is not a port"));
}

/// Saves a screenshot next to the page.
fn keep_screenshot(page: &mut Page, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/browser-screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), page.screenshot()).unwrap();
}
