//! The interface for JavaScript.

use tagseg::Session;
use tagseg::data::Rgb8;
use tagseg::data::palette::colour;
use tagseg::data::shapes::{Split, picture};
use tagseg::engine::self_test;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{Clamped, JsError};

type Result<T> = std::result::Result<T, JsError>;

/// The graphics adapter that the browser offers.
#[wasm_bindgen]
pub struct Device(Session);

#[wasm_bindgen]
impl Device {
    /// Opens it.
    pub async fn open() -> Result<Device> {
        let session = Session::open_async("auto").await?;
        Ok(Device(self_test::tested_async(session, None, |_| ()).await?))
    }

    /// Its name, which a browser may hide.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }
}

/// A picture for a canvas.
#[wasm_bindgen(getter_with_clone)]
#[derive(Clone)]
pub struct Picture {
    /// Its title.
    pub name: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Its pixels.
    pub rgba: Clamped<Vec<u8>>,
}

impl Picture {
    fn new(name: &str, (width, height): (usize, usize), rgb: &[u8]) -> Self {
        let rgba = rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX]).collect();
        Picture { name: name.to_owned(), width: width as u32, height: height as u32, rgba: Clamped(rgba) }
    }
}

/// The drawings of a sample.
fn pictures(cells: &[(&'static str, Rgb8)]) -> Vec<Picture> {
    let picture = |(name, cell): &(&'static str, Rgb8)| Picture::new(name, (cell.width, cell.height), &cell.data);
    cells.iter().map(picture).collect()
}

/// A generated picture that no network here was trained on.
#[wasm_bindgen]
pub fn shapes(index: usize, side: usize) -> Picture {
    let (image, _) = picture(Split::Val, index, side, 1);
    Picture::new("generated shapes", (side, side), &image.data)
}

/// The colour of class `number` in drawings, in CSS notation; 0 is the background.
#[wasm_bindgen(js_name = colourOf)]
pub fn colour_of(number: u8) -> String {
    let [red, green, blue] = colour(number);
    format!("rgb({red} {green} {blue})")
}

/// See [`crate::Network`].
#[wasm_bindgen]
pub struct Network(crate::Network);

/// See [`crate::Sight`].
#[wasm_bindgen(getter_with_clone)]
pub struct Sight {
    /// Logit of every class.
    pub logits: Vec<f32>,
    /// Class of every pixel.
    pub prediction: Vec<u8>,
    /// The drawings.
    pub pictures: Vec<Picture>,
}

#[wasm_bindgen]
impl Network {
    /// The network of a checkpoint called `name`.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, name: &str, checkpoint: &[u8]) -> Result<Network> {
        Ok(Network(crate::Network::new(&device.0, name, checkpoint)?))
    }

    /// Names of the classes.
    #[wasm_bindgen(getter)]
    pub fn classes(&self) -> Vec<String> {
        self.0.classes().to_vec()
    }

    /// Evaluates a picture of `width` columns, given as RGBA.
    pub async fn look(&mut self, width: usize, rgba: Vec<u8>, tags: Vec<f32>) -> Result<Sight> {
        let rgb: Vec<u8> = rgba.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        let image = Rgb8::new(rgba.len() / 4 / width.max(1), width, rgb);
        let seen = self.0.look(&image, &tags).await?;
        Ok(Sight { pictures: pictures(&seen.cells), logits: seen.logits, prediction: seen.prediction })
    }
}

/// See [`crate::Lesson`].
#[wasm_bindgen]
pub struct Lesson(crate::Lesson);

/// See [`crate::Glimpse`].
#[wasm_bindgen(getter_with_clone)]
pub struct Glimpse {
    /// Names of the shapes in it.
    pub caption: String,
    /// The drawings.
    pub pictures: Vec<Picture>,
}

#[wasm_bindgen]
impl Lesson {
    /// A lesson of `steps` steps.
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, steps: usize, seed: u32) -> Result<Lesson> {
        Ok(Lesson(crate::Lesson::new(&device.0, steps, seed.into())?))
    }

    /// Steps done.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> usize {
        self.0.done()
    }

    /// Pictures in a step.
    #[wasm_bindgen(getter)]
    pub fn batch(&self) -> usize {
        self.0.batch()
    }

    /// The total loss of every step.
    #[wasm_bindgen(getter)]
    pub fn totals(&self) -> Vec<f64> {
        self.0.totals()
    }

    /// Trains on the next pictures.
    pub async fn step(&mut self) -> Result<()> {
        Ok(self.0.step().await?)
    }

    /// Evaluates the watched pictures.
    pub async fn look(&mut self) -> Result<Vec<Glimpse>> {
        let seen = self.0.look().await?;
        Ok(seen
            .into_iter()
            .map(|crate::Glimpse { caption, cells }| Glimpse { caption, pictures: pictures(&cells) })
            .collect())
    }

    /// The curves so far.
    pub fn curves(&self) -> String {
        self.0.curves()
    }
}
