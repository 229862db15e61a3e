//! `tagseg predict`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use tagseg::method::Methods;
use tagseg::run::eval::{PredictOptions, Predicted, is_image, predict};
use tagseg::run::export::Form;

use super::common::{DeviceArg, FORM_HELP, ProtocolArgs};

/// Segment images with a trained network
///
/// Without a run, segments cats, cows, dogs, horses, sheep and people with the network that comes with tagseg.
///
/// Writes two files per image to DIR: NAME.png, an index mask with the VOC palette at the image's own size, as test
/// servers expect it, and NAME_overlay.png, the mask over the image; --format selects other forms. The EXIF orientation is applied first. Images that
/// cannot be read are reported and skipped, and the exit code is 1.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Images to segment (JPEG, PNG, WebP, BMP, TIFF or GIF), or folders of images. A run folder (its newest checkpoint) or a .safetensors
    /// file in front of them is the network to use
    #[arg(value_name = "[RUN|FILE] INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Folder for the masks and overlays
    #[arg(long, value_name = "DIR", default_value = "predictions")]
    out: PathBuf,

    #[arg(long, value_name = "FORM,…", value_delimiter = ',', default_value = "png,overlay", help = FORM_HELP)]
    format: Vec<Form>,

    #[command(flatten)]
    protocol: ProtocolArgs,

    /// Also write the seeds (NAME_seed.png, NAME_seed_overlay.png) and the propagated label (NAME_y_c.png) of the
    /// predicted classes
    #[arg(long)]
    seeds: bool,

    #[command(flatten)]
    device: DeviceArg,

    /// Overwrite existing files
    #[arg(long)]
    overwrite: bool,
}

impl PredictArgs {
    pub fn run(self) -> Result<ExitCode> {
        let PredictArgs { mut inputs, out, format, protocol, seeds, device, overwrite } = self;
        let network = is_network(&inputs[0]).then(|| inputs.remove(0));
        if let (Some(network), true) = (&network, inputs.is_empty()) {
            bail!("no images to segment; name images or folders of images after {}", network.display());
        }
        let options = PredictOptions {
            network,
            inputs,
            out,
            forms: format,
            device: device.into(),
            overwrite,
            protocol: protocol.protocol(),
            crf: protocol.crf,
            seeds,
            assignments: protocol.assignments(),
            methods: Methods::default(),
        };
        let bar = ProgressBar::new(0);
        let mut unreadable = 0;
        predict(&options, |predicted, images| {
            bar.set_length(images as u64);
            bar.inc(1);
            match predicted {
                Predicted::Mask { image, files } if bar.is_hidden() => {
                    eprintln!("{}", files.first().map_or(image, |file| file).display());
                }
                Predicted::Mask { .. } => (),
                Predicted::Unreadable(error) => {
                    unreadable += 1;
                    bar.suspend(|| eprintln!("skipped {}", error.what()));
                }
            }
        })?;
        bar.finish_and_clear();
        Ok(if unreadable == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// Whether a path is a network rather than an image or a folder of images: a folder is one if it is a run, anything else
/// if it is no image.
fn is_network(path: &Path) -> bool {
    match path.is_dir() {
        true => path.join("checkpoints").is_dir() || path.join("config.toml").is_file(),
        false => !is_image(path),
    }
}
