//! The library in use: loads a trained network and segments one image.
//!
//! cargo run --example segment_image -- RUN photo.jpg mask.png
//!
//! RUN is a run's folder or a .safetensors file; an optional fourth argument names the device.

use std::path::Path;

use tagseg::data::Rgb8;
use tagseg::data::palette::write_index_png;
use tagseg::run::eval::Model;
use tagseg::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Segments an image according to the arguments and prints its classes.
pub fn run(arguments: &[&str]) -> Result<()> {
    let (network, photo, target, device) = match *arguments {
        [network, photo, target] => (network, photo, target, "auto"),
        [network, photo, target, device] => (network, photo, target, device),
        _ => return Err(Error::config("arguments", "are not three or four", "give RUN IMAGE MASK.png [DEVICE]")),
    };
    let model = Model::load(Path::new(network), device)?;
    let mask = model.segment(&Rgb8::read(Path::new(photo))?)?;
    write_index_png(Path::new(target), &mask)?;

    let pixels = mask.histogram();
    let names = std::iter::once("background").chain(model.classes().iter().map(String::as_str));
    for (name, &count) in names.zip(&pixels).filter(|(_, count)| **count > 0) {
        println!("{:5.1} %  {name}", 100.0 * count as f64 / mask.data.len() as f64);
    }
    Ok(())
}
