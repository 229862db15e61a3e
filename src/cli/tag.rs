//! `tagseg tag`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use tagseg::run::eval::Model;
use tagseg::run::tag::{Server, Tagging};

use super::common::DeviceArg;

/// Give images their tags, on a page in a browser
///
/// DIR is a data set, a folder of images, or a folder with a folder for each class. The page shows one image after
/// another; a key gives it a tag. Every change is written to DIR/labels.json at once, which `tagseg train` reads. The
/// page can only be opened on this machine, at the address that is printed.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Folder of the images
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Names of the classes, separated by commas; more can be added on the page
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    classes: Vec<String>,

    /// Also show what a network thinks: a run folder or a .safetensors file. The list begins with the images on which
    /// it disagrees with the tags
    #[arg(long, value_name = "RUN|FILE")]
    model: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArg,
}

impl TagArgs {
    pub fn run(self) -> Result<ExitCode> {
        let classes: Vec<_> = self.classes.iter().map(|class| class.trim().to_owned()).collect();
        let mut tagging = Tagging::open(&self.folder, &classes)?;
        let model = self.model.map(|model| Model::load(&model, self.device)).transpose()?;
        if let Some(model) = model.as_ref().filter(|_| tagging.classes().is_empty()) {
            tagging.name_classes(model.classes())?;
        }
        let server = Server::new(&self.folder, tagging, model)?;
        println!("{}", server.address());
        eprintln!("Open this address in a browser. Ctrl-C ends; every change is already in labels.json.");
        server.run()?;
        Ok(ExitCode::SUCCESS)
    }
}
