//! Polygons as Ultralytics reads them: `labels/ID.txt`, a line for each part, and `data.yaml`.

use std::path::{Path, PathBuf};

use super::writer::{Labelled, Writer, write};
use crate::error::Result;
use crate::formats::outline::parts_of;

const CLASSES: &str = "data.yaml";

pub(super) struct Yolo {
    classes: Vec<String>,
}

impl Yolo {
    pub(super) fn new(classes: Vec<String>) -> Self {
        Yolo { classes }
    }
}

fn file(id: &str) -> PathBuf {
    format!("labels/{id}.txt").into()
}

impl Writer for Yolo {
    fn files_of(&self, id: &str) -> Vec<PathBuf> {
        vec![file(id)]
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![CLASSES.into()]
    }

    fn add(&mut self, out: &Path, labelled: &Labelled<'_>) -> Result<()> {
        let ([height, width], mut text) = (labelled.size(), String::new());
        for (class, _) in labelled.classes() {
            for part in parts_of(&labelled.mask.data, [height, width], class) {
                // The first class is 0: there is no background.
                text.push_str(&(class - 1).to_string());
                for [x, y] in part.joined() {
                    // Enough digits to tell the corners of any image apart.
                    text.push_str(&format!(" {:.8} {:.8}", f64::from(x) / width as f64, f64::from(y) / height as f64));
                }
                text.push('\n');
            }
        }
        write(&out.join(file(labelled.id)), text.as_bytes())
    }

    fn finish(&mut self, out: &Path) -> Result<()> {
        let mut text = String::from(
            "# Put the images into images/, beside labels/. A list of training images may replace the folder.\n\
             path: .\ntrain: images\nval: images\nnames:\n",
        );
        for (number, name) in self.classes.iter().enumerate() {
            // A string of JSON is one of YAML, too.
            text.push_str(&format!("  {number}: {}\n", serde_json::Value::from(name.as_str())));
        }
        write(&out.join(CLASSES), text.as_bytes())
    }
}
