//! Requests and answers of HTTP/1.1, one for each connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The longest head and body of a request.
const MOST_HEAD: usize = 16 << 10;
const MOST_BODY: usize = 64 << 10;
/// What a client may have sent after that.
const MOST_LEFT: u64 = 1 << 20;
/// How long a client may take to send a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// The path, without what follows a question mark.
    pub(super) path: String,
    /// What follows it.
    pub(super) query: String,
    /// The header `Host`.
    pub(super) host: String,
    /// The header `Origin`: the page that asks, if a script does.
    pub(super) origin: Option<String>,
    pub(super) body: Vec<u8>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: Status,
    /// The type of the body.
    pub(super) kind: &'static str,
    pub(super) body: Vec<u8>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Done,
    /// The request makes no sense.
    Bad,
    /// The client may not ask.
    Forbidden,
    Missing,
    /// It makes sense, but cannot be done.
    Failed,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Done => "200 OK",
            Status::Bad => "400 Bad Request",
            Status::Forbidden => "403 Forbidden",
            Status::Missing => "404 Not Found",
            Status::Failed => "500 Internal Server Error",
        }
    }
}

impl Answer {
    /// A body of some type.
    pub(super) fn of(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Answer { status: Status::Done, kind, body: body.into() }
    }

    /// One line of text.
    pub(super) fn text(status: Status, line: &str) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", body: format!("{line}\n").into_bytes() }
    }

    /// Sends the answer. Nothing is kept by the browser, and nothing from elsewhere is loaded.
    pub(super) fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        let Answer { status, kind, body } = self;
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'self'; img-src 'self' data:; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\n\r\n",
            status.line(),
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        // A connection that is closed before everything was read is reset, and the answer may be lost.
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        io::copy(&mut stream.take(MOST_LEFT), &mut io::sink()).map(drop)
    }
}

/// Reads a request; `Err` has the answer to one that makes no sense.
pub(super) fn read(stream: &mut TcpStream) -> io::Result<Result<Request, Answer>> {
    let start = Instant::now();
    let bad = |line: &str| Ok(Err(Answer::text(Status::Bad, line)));
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| {
        let left = PATIENCE.checked_sub(start.elapsed()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
        let mut part = [0; 4096];
        let count = stream.read(&mut part)?;
        bytes.extend_from_slice(&part[..count]);
        if count == 0 { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) } else { Ok(()) }
    };
    let (mut request, head) = loop {
        match parse(&bytes) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) if bytes.len() < MOST_HEAD => more(&mut bytes)?,
            Ok(None) => return bad("The head of the request is too long."),
            Err(_) => return bad("This is no HTTP request."),
        }
    };
    let (length, start) = head;
    let Some(length) = length.filter(|length| *length <= MOST_BODY) else {
        return bad("The body of the request is too long.");
    };
    while bytes.len() < start + length {
        more(&mut bytes)?;
    }
    request.body = bytes[start..start + length].to_vec();
    Ok(Ok(request))
}

/// A request without its body, the body's length (`None` if it is no number), and where it starts; `None` if the head is
/// not complete.
#[allow(clippy::type_complexity, reason = "it is taken apart at once")]
fn parse(bytes: &[u8]) -> Result<Option<(Request, (Option<usize>, usize))>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(start) = parsed.parse(bytes)? else { return Ok(None) };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).into_owned())
    };
    let (path, query) =
        parsed.path.unwrap_or_default().split_once('?').unwrap_or((parsed.path.unwrap_or_default(), ""));
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        host: header("host").unwrap_or_default(),
        origin: header("origin"),
        body: Vec::new(),
    };
    let length = match header("content-length") {
        Some(text) => text.trim().parse().ok(),
        None => Some(0),
    };
    Ok(Some((request, (length, start))))
}
