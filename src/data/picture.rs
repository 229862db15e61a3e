//! Decoded pictures: an RGB image and a mask of class indices, both row-major bytes.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::ColorType::{L16, La16, Rgb16, Rgba16};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader};

#[cfg(feature = "native")]
use crate::data::endings::{FORMATS, is_unread_picture};
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::formats::jpeg::ends_early;
use crate::formats::jpeg_scan::lacks_data;
use crate::formats::tiff_palette::indexed;

/// An RGB image, 8 bits per channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb8 {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[height, width, 3]`, row-major.
    pub data: Vec<u8>,
}

/// A class index for every pixel: 0 is background, 1 to K are the classes, 255 is void (method.md 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[height, width]`, row-major.
    pub data: Vec<u8>,
}

impl Rgb8 {
    /// An image from its bytes, `[height, width, 3]`.
    ///
    /// # Panics
    ///
    /// If the length of `data` differs.
    pub fn new(height: usize, width: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), height * width * 3, "an RGB image of {height}x{width} pixels");
        Self { height, width, data }
    }

    /// An image whose pixel in row y and column x is `pixel(y, x)`.
    pub fn from_fn(height: usize, width: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        Self::new(height, width, (0..height * width).flat_map(|place| pixel(place / width, place % width)).collect())
    }

    /// The pixel in row `y` and column `x`.
    ///
    /// # Panics
    ///
    /// If the pixel does not exist.
    pub fn pixel(&self, y: usize, x: usize) -> [u8; 3] {
        self.data.as_chunks().0[y * self.width + x]
    }

    /// Changes the pixel in row `y` and column `x`.
    ///
    /// # Panics
    ///
    /// If the pixel does not exist.
    pub fn set_pixel(&mut self, y: usize, x: usize, colour: [u8; 3]) {
        self.data.as_chunks_mut().0[y * self.width + x] = colour;
    }

    /// Decodes a JPEG or PNG file and, with the feature `native`, a WebP, BMP, TIFF or GIF file to the colours that
    /// Pillow's `convert("RGB")` gives. Grey is replicated to three channels and a palette looked up, as the official
    /// loader does; CMYK in a JPEG file is taken as Adobe writes it, inverted. Of several pictures in a file the first one
    /// counts. The EXIF orientation is ignored, so that pixels stay aligned with their mask. Where the official loader
    /// fails or returns noise, alpha is dropped, and the upper 8 of 16 bits are kept.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or does not decode, also if it ends early.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_turned(path, false)
    }

    /// Decodes a file like [`read`](Self::read), and turns the image as its EXIF orientation says and viewers show it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_upright(path: &Path) -> Result<Self> {
        Self::read_turned(path, true)
    }

    fn read_turned(path: &Path, upright: bool) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(Error::io(path))?;
        if reader.format() == Some(ImageFormat::Jpeg) && ends_early(&bytes) {
            return Err(undecodable(path, &"it ends before the picture does"));
        }
        if reader.format() == Some(ImageFormat::Jpeg) && lacks_data(&bytes) {
            return Err(undecodable(path, &"a part of the picture is missing in it"));
        }
        let palette = indexed(&bytes);
        let (reader, bytes) = match &palette {
            Some((grey, _)) => (ImageReader::with_format(Cursor::new(grey), ImageFormat::Tiff), grey),
            None => (reader, &bytes),
        };
        let mut image = reader.decode().map_err(|error| match error {
            ImageError::Limits(_) => Error::data(
                path,
                "has more pixels than fit the memory for one picture (512 MiB)",
                "scale it down, or skip it with `--skip-broken`",
            ),
            error => undecodable(path, &error),
        })?;
        if upright {
            image.apply_orientation(orientation(Cursor::new(bytes)));
        }
        let (width, height) = (image.width() as usize, image.height() as usize);
        let data = match image.color() {
            L16 | La16 | Rgb16 | Rgba16 => image.into_rgb16().iter().map(|sample| (sample >> 8) as u8).collect(),
            _ => match palette {
                Some((_, colours)) => {
                    image.into_luma8().iter().flat_map(|index| colours[usize::from(*index)]).collect()
                }
                None => image.into_rgb8().into_raw(),
            },
        };
        Ok(Self::new(height, width, data))
    }

    /// Height and width of an image file, read from its header alone.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or its header cannot be read.
    pub fn read_size(path: &Path) -> Result<(usize, usize)> {
        let reader = ImageReader::new(source(path)?).with_guessed_format().map_err(Error::io(path))?;
        let (width, height) = reader.into_dimensions().map_err(|error| undecodable(path, &error))?;
        Ok((height as usize, width as usize))
    }

    /// Whether the EXIF data of an image file asks for a turn or a mirror image.
    pub fn is_turned(path: &Path) -> bool {
        source(path).is_ok_and(|file| orientation(file) != Orientation::NoTransforms)
    }

    /// Height and width of the image that [`read_upright`](Self::read_upright) gives, read from the header alone.
    ///
    /// # Errors
    ///
    /// As [`read_size`](Self::read_size).
    pub fn read_upright_size(path: &Path) -> Result<(usize, usize)> {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let (height, width) = Self::read_size(path)?;
        Ok(match orientation(source(path)?) {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (width, height),
            _ => (height, width),
        })
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if the image is empty.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.encode(PngEncoder::new(&mut bytes))?;
        Ok(bytes)
    }

    /// Writes a PNG file atomically.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        write_whole(path, &self.png()?)
    }

    /// Writes a JPEG file of the given quality, 1 to 100, atomically.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write_jpeg(&self, path: &Path, quality: u8) -> Result<()> {
        let mut bytes = Vec::new();
        self.encode(JpegEncoder::new_with_quality(&mut bytes, quality))?;
        write_whole(path, &bytes)
    }

    fn encode(&self, encoder: impl ImageEncoder) -> Result<()> {
        let Rgb8 { height, width, ref data } = *self;
        encoder.write_image(data, width as u32, height as u32, ExtendedColorType::Rgb8).map_err(|error| {
            Error::Graph(format!("an image of {height}x{width} pixels cannot be encoded ({})", one_line(&error)))
        })
    }
}

/// A file of which the header is read.
trait Source: BufRead + Seek {}

impl<T: BufRead + Seek> Source for T {}

/// Opens a file to read its header; a TIFF file of a palette as one of grey levels.
fn source(path: &Path) -> Result<Box<dyn Source>> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let start = file.fill_buf().map_err(Error::io(path))?;
    if !start.starts_with(b"II*\0") && !start.starts_with(b"MM\0*") {
        return Ok(Box::new(file));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    Ok(Box::new(Cursor::new(indexed(&bytes).map_or(bytes, |(grey, _)| grey))))
}

/// The orientation that an image's EXIF data asks for; one that cannot be read is none.
fn orientation(file: impl BufRead + Seek) -> Orientation {
    let reader = ImageReader::new(file).with_guessed_format().ok();
    let decoder = reader.and_then(|reader| reader.into_decoder().ok());
    decoder.and_then(|mut decoder| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms)
}

impl Mask {
    /// A mask from its class indices, `[height, width]`.
    ///
    /// # Panics
    ///
    /// If the length of `data` differs.
    pub fn new(height: usize, width: usize, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), height * width, "a mask of {height}x{width} pixels");
        Self { height, width, data }
    }

    /// Number of pixels of each of the 256 possible values.
    pub fn histogram(&self) -> [usize; 256] {
        let mut counts = [0; 256];
        for &value in &self.data {
            counts[usize::from(value)] += 1;
        }
        counts
    }
}

fn undecodable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    #[cfg(feature = "native")]
    if is_unread_picture(path) {
        return Error::data(path, format!("is not {FORMATS}; convert it"), "write it as JPEG or PNG");
    }
    Error::data(
        path,
        format!("does not decode as a picture ({})", one_line(error)),
        "replace the file, or skip it with `--skip-broken`",
    )
}

/// The message of another crate's error on one line, as all messages of this crate are.
pub(crate) fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
