//! Index PNGs, and the masks drawn over their images.

use std::path::{Path, PathBuf};

use super::form::Arrangement;
use super::writer::{Labelled, Writer, create_folder_of};
use crate::data::palette::write_index_png;
use crate::error::Result;
use crate::run::report::{Map, label_overlay};

pub(super) struct Png(pub(super) Arrangement);

impl Png {
    fn file(&self, id: &str) -> PathBuf {
        match self.0 {
            Arrangement::Flat => format!("{id}.png").into(),
            Arrangement::DataSet => format!("SegmentationClassAug/{id}.png").into(),
        }
    }
}

impl Writer for Png {
    fn files_of(&self, id: &str) -> Vec<PathBuf> {
        vec![self.file(id)]
    }

    fn add(&mut self, out: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let path = out.join(self.file(labelled.id));
        create_folder_of(&path)?;
        write_index_png(&path, labelled.mask)
    }
}

pub(super) struct Overlay(pub(super) Arrangement);

impl Overlay {
    fn file(&self, id: &str) -> PathBuf {
        match self.0 {
            Arrangement::Flat => format!("{id}_overlay.png").into(),
            Arrangement::DataSet => format!("overlays/{id}.png").into(),
        }
    }
}

impl Writer for Overlay {
    fn files_of(&self, id: &str) -> Vec<PathBuf> {
        vec![self.file(id)]
    }

    fn add(&mut self, out: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let path = out.join(self.file(labelled.id));
        create_folder_of(&path)?;
        let mask = labelled.mask;
        label_overlay(labelled.image, Map::new(mask.height, mask.width, &mask.data)?).write_png(&path)
    }
}
