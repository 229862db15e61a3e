//! What a network thinks of the images: which classes it sees, and where. Computed on a thread of its own, one image
//! after another; an image that somebody looks at comes first.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use crate::data::Rgb8;
use crate::data::resize::resize_bilinear;
use crate::error::{Error, Result};
use crate::method::maps::SEED;
use crate::run::eval::{Maps, Model, Request, Tags, View};
use crate::run::report::{Map, heat_overlay};

/// The long side of images that are looked at. Opinions do not need more, and drawings are shown at this size.
const LONG_SIDE: usize = 640;

/// What the network thinks of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The image, by its index.
    pub index: usize,
    /// Probabilities of the network's classes, or why there are none.
    pub probabilities: std::result::Result<Vec<f32>, String>,
}

/// A drawing that somebody waits for.
struct Asked {
    path: PathBuf,
    /// The names of the classes that the image shows; without any, those that the network sees.
    tags: Vec<String>,
    answer: Sender<Result<Vec<u8>>>,
}

/// A network that looks at images in the background.
pub struct Opinions {
    classes: Vec<String>,
    asked: Sender<Asked>,
}

impl Opinions {
    /// Looks at all of `images` in turn; `done` is called with each opinion.
    pub fn start(model: Model, images: Vec<PathBuf>, done: impl Fn(Opinion) + Send + 'static) -> Self {
        let classes = model.classes().to_vec();
        let (asked, requests) = channel();
        thread::spawn(move || Worker { model, seeds: None, plain: None }.work(&images, &requests, &done));
        Opinions { classes, asked }
    }

    /// Names of the classes that the network knows.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// A PNG of an image with its seeds drawn over it, for the classes `tags`; without any, for those that the network
    /// sees.
    ///
    /// # Errors
    /// If the image cannot be read, or the device was lost.
    pub fn seeds(&self, path: &Path, tags: Vec<String>) -> Result<Vec<u8>> {
        let (answer, answered) = channel();
        let asked = Asked { path: path.to_owned(), tags, answer };
        let gone = || Error::Graph("the network has stopped".into());
        self.asked.send(asked).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// The network, and its programs for the last size.
struct Worker {
    model: Model,
    seeds: Option<(Tags, View)>,
    plain: Option<(Tags, View)>,
}

impl Worker {
    fn work(mut self, images: &[PathBuf], requests: &Receiver<Asked>, done: &impl Fn(Opinion)) {
        let mut sized: Vec<_> =
            images.iter().enumerate().map(|(index, path)| (Rgb8::read_size(path).ok(), index)).collect();
        // Images of one size follow each other, so that its program is prepared once.
        sized.sort();
        for (_, index) in sized {
            loop {
                match requests.try_recv() {
                    Ok(asked) => self.draw(asked),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let probabilities = self.probabilities(&images[index]).map_err(|error| error.to_string());
            done(Opinion { index, probabilities });
        }
        requests.iter().for_each(|asked| self.draw(asked));
    }

    fn probabilities(&mut self, path: &Path) -> Result<Vec<f32>> {
        let image = small(path)?;
        let view = prepared(&self.model, &mut self.plain, &image, Tags::Unknown)?;
        let logits = view.look_at(&image)?.cls;
        Ok(logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect())
    }

    fn draw(&mut self, Asked { path, tags, answer }: Asked) {
        // Nobody waits any more if the answer cannot be sent.
        let _ = answer.send(self.seeds(&path, &tags));
    }

    fn seeds(&mut self, path: &Path, tags: &[String]) -> Result<Vec<u8>> {
        let image = small(path)?;
        let classes = self.model.classes();
        let mut row: Vec<f32> = classes.iter().map(|class| f32::from(u8::from(tags.contains(class)))).collect();
        if tags.is_empty() {
            row = self.probabilities(path)?.into_iter().map(|p| f32::from(u8::from(p > 0.5))).collect();
        }
        let given = Tags::Given(row.iter().filter(|&&tag| tag > 0.0).count().next_multiple_of(4).max(4));
        let view = prepared(&self.model, &mut self.seeds, &image, given)?;
        let seen = pollster::block_on(view.look_at_async(&image, &row))?;
        match seen.heat(SEED.name) {
            Some(heat) => heat_overlay(&image, Map::new(image.height, image.width, heat)?).png(),
            None => Err(Error::Graph(format!("the network's method has no map `{}`", SEED.name))),
        }
    }
}

/// The program for the size of an image and its tags, which is the last one if that fits.
fn prepared<'a>(model: &Model, last: &'a mut Option<(Tags, View)>, image: &Rgb8, tags: Tags) -> Result<&'a mut View> {
    let size = model.canvas([image.height, image.width]);
    let request = Request { tags, maps: Maps::Only(SEED.name), ..Request::default() };
    let fitting = last.take().filter(|(own, view)| *own == tags && view.size() == size);
    let fitting = fitting.map_or_else(|| Ok((tags, model.view_for(1, size, request)?)), Ok::<_, Error>)?;
    Ok(&mut last.insert(fitting).1)
}

/// An image at a long side of [`LONG_SIDE`] at most.
fn small(path: &Path) -> Result<Rgb8> {
    let image = Rgb8::read_upright(path)?;
    let long = image.height.max(image.width);
    if long <= LONG_SIDE {
        return Ok(image);
    }
    let [height, width] = [image.height, image.width].map(|side| (side * LONG_SIDE).div_ceil(long));
    Ok(resize_bilinear(&image, height, width))
}
