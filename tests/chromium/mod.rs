//! A page in a headless Chromium, driven over its DevTools pipe: JSON messages, each ended by a zero byte.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Flags for WebGPU on the CPU, and no network access.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// Time limit for the slowest operation: a training step on one busy core.
const PATIENCE: Duration = Duration::from_secs(300);

/// A page in a separate browser.
pub struct Page {
    browser: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    sent: u64,
    _profile: TempDir,
}

impl Page {
    /// Opens the page at an address in a window of `size`, after running `before` in it.
    pub fn open(address: &str, size: [usize; 2], before: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let pipes = ["commands", "messages"].map(|name| profile.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        // Chromium reads from file descriptor 3 and writes to 4, which a shell must set up.
        let browser = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<"$COMMANDS" 4>"$MESSAGES""#, "sh", chromium()])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("user").display()))
            .envs(["COMMANDS", "MESSAGES"].into_iter().zip(&pipes))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = OpenOptions::new().write(true).open(&pipes[0]).unwrap();
        let answers = BufReader::new(File::open(&pipes[1]).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            let whole = answers.split(0).map_while(Result::ok);
            whole.map(|message| serde_json::from_slice(&message).unwrap()).try_for_each(|message| sender.send(message))
        });

        let mut page = Page { browser, commands, messages, session: String::new(), sent: 0, _profile: profile };
        let tab = page.call("Target.createTarget", json!({ "url": "about:blank" }));
        let tab = page.call("Target.attachToTarget", json!({ "targetId": tab["targetId"], "flatten": true }));
        page.session = tab["sessionId"].as_str().unwrap().to_owned();
        page.resize(size);
        page.call("Page.enable", json!({}));
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": before }));
        page.call("Page.navigate", json!({ "url": address }));
        page.wait_for("document.readyState === 'complete'");
        page
    }

    /// Sets the size of the window; narrow ones are phones.
    pub fn resize(&mut self, [width, height]: [usize; 2]) {
        let phone = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Sets a preference of the user, as in `("prefers-color-scheme", "dark")`.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        self.call("Emulation.setEmulatedMedia", json!({ "features": [{ "name": feature, "value": value }] }));
    }

    /// The value of a JavaScript expression; promises are awaited.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of the element that matches a selector.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({selector:?}).textContent"));
        text.as_str().unwrap().trim().to_owned()
    }

    /// Waits until a JavaScript condition holds.
    pub fn wait_for(&mut self, condition: &str) {
        let start = Instant::now();
        while self.evaluate(condition) != true {
            if start.elapsed() > PATIENCE {
                let page = self.evaluate("document.body.innerText");
                panic!("`{condition}` never came true on this page: {page}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        let (text, code): (&str, u32) = match key {
            "Enter" => ("\r", 13),
            "Tab" => ("", 9),
            " " => (" ", 32),
            "Backspace" => ("", 8),
            "ArrowLeft" => ("", 37),
            "ArrowRight" => ("", 39),
            key if key.len() == 1 => (key, key.to_ascii_uppercase().as_bytes()[0].into()),
            _ => panic!("no code for `{key}`"),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Moves the focus with the keyboard to the element that matches a selector.
    pub fn tab_to(&mut self, selector: &str) {
        let there = format!("document.activeElement.matches({selector:?})");
        let steps = (0..60).position(|_| {
            self.press("Tab");
            self.evaluate(&there) == true
        });
        assert!(steps.is_some(), "the keyboard does not reach {selector}");
    }

    /// Chooses a file, as a user does in the browser's dialogue.
    pub fn choose(&mut self, file: &Path) {
        let root = self.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let input = self.call("DOM.querySelector", json!({ "nodeId": root, "selector": "#file" }))["nodeId"].clone();
        self.call("DOM.setFileInputFiles", json!({ "nodeId": input, "files": [file] }));
    }

    /// The whole page as a PNG file.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let shot = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip }));
        BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        let start = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
            let Ok(message) = self.messages.recv_timeout(left) else { break };
            if message["id"] == self.sent {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
        panic!("{method}: no answer within {PATIENCE:?}")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.browser.kill().and_then(|()| self.browser.wait()).unwrap();
    }
}

/// The browser's name on this system.
fn chromium() -> &'static str {
    let known = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    known.into_iter().find(there).expect("no Chromium found; `make test-browser` installs one")
}
