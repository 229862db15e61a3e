//! `areas.csv`: a row for each image and class, with its area and the score of its tag.

use std::path::{Path, PathBuf};

use super::writer::{Kept, Labelled, Writer, write};
use crate::error::{Error, Result};

const FILE: &str = "areas.csv";

pub(super) struct Areas {
    classes: Vec<String>,
    images: Kept<Vec<[String; 6]>>,
}

impl Areas {
    pub(super) fn new(classes: Vec<String>) -> Self {
        Areas { classes, images: Kept::new() }
    }
}

impl Writer for Areas {
    fn files(&self) -> Vec<PathBuf> {
        vec![FILE.into()]
    }

    fn add(&mut self, _: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let counts = labelled.mask.histogram();
        let all = labelled.mask.data.len() as f64;
        let names = ["background"].into_iter().chain(self.classes.iter().map(String::as_str));
        let row = |(value, name): (usize, &str)| {
            let area = counts[value];
            // The background has no tag.
            let score = value.checked_sub(1).and_then(|class| labelled.tag_scores.get(class));
            [
                labelled.file.to_owned(),
                name.to_owned(),
                value.to_string(),
                area.to_string(),
                format!("{:.6}", area as f64 / all),
                score.map_or_else(String::new, |score| format!("{score:.6}")),
            ]
        };
        self.images.keep(labelled.index, names.enumerate().map(row).collect());
        Ok(())
    }

    fn finish(&mut self, out: &Path) -> Result<()> {
        let path = out.join(FILE);
        let fault = |error: csv::Error| Error::Io { path: path.clone(), source: error.into() };
        let mut text = csv::Writer::from_writer(Vec::new());
        text.write_record(["image", "class", "value", "area", "share", "tag_score"]).map_err(fault)?;
        for row in self.images.in_order().flatten() {
            text.write_record(row).map_err(fault)?;
        }
        let bytes = text.into_inner().map_err(|error| Error::Graph(error.to_string()))?;
        write(&path, &bytes)
    }
}
