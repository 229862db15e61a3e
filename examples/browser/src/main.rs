//! A server to view the page.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path};
use std::process::ExitCode;
use std::thread;

const USAGE: &str = "\
tagseg-browser serve DIR [PORT]     serve the page in DIR on this machine, by default on port 8080";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", folder] => serve(Path::new(folder), "8080"),
        ["serve", folder, port] => serve(Path::new(folder), port),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Serves the files of a folder to this machine, forever; prints the address.
fn serve(folder: &Path, port: &str) -> Result<(), Box<dyn Error>> {
    if !folder.join("index.html").is_file() {
        return Err(format!("{}: contains no page; run `make browser` first", folder.display()).into());
    }
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is not a port; give a number up to 65535"))?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .map_err(|error| format!("port {port} cannot be used ({error}); give another"))?;
    println!("http://localhost:{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, folder.to_owned());
        // A closed connection must not end the server.
        thread::spawn(move || answer(stream, &folder).unwrap_or_default());
    }
    Ok(())
}

/// Answers one request with a file below `folder`.
fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let path = Path::new(if path.is_empty() { "index.html" } else { path });
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let (status, kind, body) = match fs::read(folder.join(path)) {
        Ok(body) if inside => ("200 OK", kind_of(path), body),
        _ => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

/// The media type of a file.
fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("jpg") => "image/jpeg",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
