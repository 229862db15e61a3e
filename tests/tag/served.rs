//! A folder of images, and `tagseg tag` as a process that serves it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tagseg::data::Rgb8;
use tempfile::TempDir;

/// A folder `photos` of small images.
pub struct Folder {
    _place: TempDir,
    path: PathBuf,
}

impl Folder {
    /// One image at each of `names`, no two of the same content.
    pub fn new(names: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder { path: place.path().join("photos"), _place: place };
        fs::create_dir(folder.path()).unwrap();
        for (index, name) in names.iter().enumerate() {
            folder.image(name, index as u8);
        }
        folder
    }

    /// Adds an image.
    pub fn image(&self, name: &str, content: u8) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let data = (0..40 * 60 * 3).map(|place| content.wrapping_mul(31).wrapping_add((place / 90) as u8)).collect();
        Rgb8::new(40, 60, data).write_png(&path).unwrap();
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of tags.
    pub fn file(&self) -> PathBuf {
        self.path().join("labels.json")
    }

    /// Its content.
    pub fn labels(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }
}

/// The program, until this value is dropped.
pub struct Served {
    process: Child,
    /// The address of the page.
    pub address: String,
}

impl Served {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder, arguments);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("http://127.0.0.1:"), "`{address}` is no address");
        Served { process, address: address.trim().to_owned() }
    }

    /// `127.0.0.1:PORT` and `/SECRET/`.
    pub fn parts(&self) -> (&str, &str) {
        let rest = self.address.strip_prefix("http://").unwrap();
        rest.split_at(rest.find('/').unwrap())
    }

    /// Status and body of the answer to a request for a path below the secret.
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let (host, secret) = self.parts();
        self.send(&format!("GET {secret}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// Makes a change; status and body of the answer.
    pub fn change(&self, body: &str) -> (u16, String) {
        let (host, secret) = self.parts();
        let head = format!("POST {secret}change HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n");
        let (status, body) = self.send(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
        (status, String::from_utf8(body).unwrap())
    }

    /// Makes a change that succeeds; what the answer says.
    pub fn changed(&self, body: &str) -> Value {
        let (status, answer) = self.change(body);
        assert_eq!(status, 200, "{body}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// What changed after change number `since`.
    pub fn state(&self, since: u64) -> Value {
        let (status, body) = self.get(&format!("state?since={since}"));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Status and body of the answer to these bytes.
    pub fn send(&self, request: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.parts().0).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer[end + 4..].to_vec())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).unwrap();
    }
}

/// `tagseg tag FOLDER …`, beside the folder, so that its page shows the name alone.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagseg"));
    command.arg("tag").arg(folder.file_name().unwrap()).args(arguments).current_dir(folder.parent().unwrap());
    command
}

/// The error of a program that refuses to start: its last line.
pub fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}
