//! The page's server. It listens on this machine alone, on a port that the system chooses, and answers only those who know
//! the secret in its address. Pages of other sites cannot know it; a request that names another host or that a script
//! of another page sends is refused, too.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use super::http::{self, Answer, Request, Status};
use super::opinion::{Opinion, Opinions};
use super::tagging::{Change, Tagging};
use crate::data::Rgb8;
use crate::error::{Error, Result};
use crate::run::eval::Model;

const PAGE: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

/// A page on which a person gives the images of a folder their tags.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What every connection uses.
struct Shared {
    /// `127.0.0.1:PORT`.
    host: String,
    secret: String,
    folder: String,
    state: Arc<Mutex<State>>,
    opinions: Option<Opinions>,
}

struct State {
    tagging: Tagging,
    /// What the network thinks of each image.
    opinions: Vec<Option<Opinion>>,
}

impl Server {
    /// Serves the images of `tagging`; `model` looks at them, too.
    ///
    /// # Errors
    /// If no port is free, or the system gives no random numbers.
    pub fn new(folder: &Path, tagging: Tagging, model: Option<Model>) -> Result<Self> {
        let of_port = Error::io(Path::new("127.0.0.1"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (listener, port) =
            listener.and_then(|listener| listener.local_addr().map(|own| (listener, own.port()))).map_err(of_port)?;
        let paths = (0..tagging.len()).filter_map(|index| tagging.path(index).map(Path::to_owned)).collect();
        let state = Arc::new(Mutex::new(State { opinions: vec![None; tagging.len()], tagging }));
        let opinions = model.map(|model| {
            let state = state.clone();
            Opinions::start(model, paths, move |opinion| {
                let mut state = locked(&state);
                let index = opinion.index;
                state.opinions[index] = Some(opinion);
                state.tagging.touch(index);
            })
        });
        let shared = Shared {
            host: format!("127.0.0.1:{port}"),
            secret: secret()?,
            folder: folder.display().to_string(),
            state,
            opinions,
        };
        Ok(Server { listener, shared: Arc::new(shared) })
    }

    /// The address of the page.
    pub fn address(&self) -> String {
        format!("http://{}/{}/", self.shared.host, self.shared.secret)
    }

    /// Answers requests until the process ends.
    ///
    /// # Errors
    /// If the port is lost.
    pub fn run(self) -> Result<()> {
        for stream in self.listener.incoming() {
            match stream {
                Ok(stream) => {
                    let shared = self.shared.clone();
                    // A connection that breaks concerns nobody else.
                    thread::spawn(move || shared.converse(stream).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => (),
                Err(error) => return Err(Error::io(Path::new(&self.shared.host))(error)),
            }
        }
        Ok(())
    }
}

impl Shared {
    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        let answer = match http::read(&mut stream)? {
            Ok(request) => self.answer(&request),
            Err(answer) => answer,
        };
        answer.send(&mut stream)
    }

    fn answer(&self, request: &Request) -> Answer {
        let local = format!("localhost:{}", self.host.rsplit(':').next().unwrap_or_default());
        let is_own = |host: &str| host == self.host || host == local;
        let foreign = |origin: &String| !origin.strip_prefix("http://").is_some_and(is_own);
        if !is_own(&request.host) || request.origin.as_ref().is_some_and(foreign) {
            return Answer::text(Status::Forbidden, "This page is for the machine that it runs on.");
        }
        let mut parts = request.path.trim_start_matches('/').splitn(2, '/');
        let is_known = same(parts.next().unwrap_or_default().as_bytes(), self.secret.as_bytes());
        let (Some(rest), true) = (parts.next(), is_known) else {
            return Answer::text(Status::Forbidden, "Open the address that `tagseg tag` printed.");
        };
        let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
        let answered = match (request.method.as_str(), rest.split_once('/').unwrap_or((rest, ""))) {
            ("GET", ("", "")) => Ok(Answer::of("text/html; charset=utf-8", PAGE)),
            ("GET", ("page.js", "")) => Ok(Answer::of("text/javascript; charset=utf-8", SCRIPT)),
            ("GET", ("page.css", "")) => Ok(Answer::of("text/css; charset=utf-8", STYLE)),
            ("GET", ("state", "")) => self.state(since(&request.query)),
            ("POST", ("change", "")) => match serde_json::from_slice(&request.body) {
                Ok(change) => self.change(&change, since(&request.query)),
                Err(error) => return Answer::text(Status::Bad, &format!("This is no change: {error}.")),
            },
            ("GET", ("image", index)) => self.image(number(index)),
            ("GET", ("seeds", index)) => self.seeds(number(index)),
            _ => return Answer::text(Status::Missing, "There is nothing here."),
        };
        answered.unwrap_or_else(|error| Answer::text(Status::Failed, &error.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn change(&self, change: &Change, since: u64) -> Result<Answer> {
        self.lock().tagging.change(change)?;
        self.state(since)
    }

    /// The classes, and the images that changed after change number `since`.
    fn state(&self, since: u64) -> Result<Answer> {
        let mut state = self.lock();
        state.tagging.reread()?;
        let known = self.opinions.as_ref().map_or(&[][..], Opinions::classes);
        let images: Vec<_> = state.tagging.changed(since).map(|index| self.described(&state, index, known)).collect();
        let judged = state.opinions.iter().flatten().count();
        let answer = json!({
            "version": state.tagging.version(),
            "folder": self.folder,
            "file": state.tagging.file(),
            "count": state.tagging.len(),
            "classes": state.tagging.classes(),
            "network": self.opinions.as_ref().map(|_| json!({ "classes": known, "judged": judged })),
            "images": images,
        });
        Ok(Answer::of("application/json", answer.to_string()))
    }

    fn described(&self, state: &State, index: usize, known: &[String]) -> Value {
        let mut image = json!(state.tagging.image(index));
        match state.opinions[index].as_ref().map(|opinion| &opinion.probabilities) {
            Some(Ok(probabilities)) => {
                let named: serde_json::Map<_, _> =
                    known.iter().cloned().zip(probabilities.iter().map(|&p| json!(p))).collect();
                image["opinion"] = json!(named);
            }
            Some(Err(error)) => image["fault"] = json!(error),
            None => (),
        }
        image
    }

    fn image(&self, index: usize) -> Result<Answer> {
        let Some(path) = self.lock().tagging.path(index).map(Path::to_owned) else {
            return Ok(Answer::text(Status::Missing, "There is no such image."));
        };
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let kind = match ending.to_str().unwrap_or_default() {
            "jpg" | "jpeg" => "image/jpeg",
            "png" => "image/png",
            "webp" => "image/webp",
            "gif" => "image/gif",
            "bmp" => "image/bmp",
            // No browser shows it as it is.
            _ => return Ok(Answer::of("image/png", Rgb8::read_upright(&path)?.png()?)),
        };
        Ok(Answer::of(kind, fs::read(&path).map_err(Error::io(&path))?))
    }

    fn seeds(&self, index: usize) -> Result<Answer> {
        let (path, tags) = {
            let state = self.lock();
            match state.tagging.path(index) {
                Some(path) => (path.to_owned(), state.tagging.image(index).tags.unwrap_or_default()),
                None => return Ok(Answer::text(Status::Missing, "There is no such image.")),
            }
        };
        match &self.opinions {
            Some(opinions) => Ok(Answer::of("image/png", opinions.seeds(&path, tags)?)),
            None => Ok(Answer::text(Status::Missing, "There is no network.")),
        }
    }
}

/// The number in a query `since=N`.
fn since(query: &str) -> u64 {
    query.strip_prefix("since=").and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A state is whole between its changes, also where a thread panicked.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 128 random bits as a word.
fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Graph(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}
