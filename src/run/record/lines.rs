//! The record of a run: `metrics.jsonl`, one JSON object a line, only ever appended to.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::named::Named;
use crate::error::{Error, Result};

/// A line about a training step. Its losses are means over the steps since the line before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: usize,
    /// `total`, which was minimised, and every loss of the method before its weight (method.md 6.6).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: Named<f64>,
    /// Learning rate of the encoder in this step.
    pub lr: f64,
    /// Training images a second since the line before.
    pub images_per_second: f64,
    /// How many replica groups since the line before had no labelled pixel, by loss (method.md 6.5); nothing for a
    /// method that counts none.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub empty: Named<u64>,
}

/// Scores of an evaluation during training, as fractions (method.md 9.2). In JSON an object with `seg_miou` and the
/// like.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvalScores {
    /// Mean IoU by map: `seg`, the segmentation branch, and those that the method reports; NaN (null) where no pixel was
    /// scored.
    pub miou: Named<f64>,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// IoU of the segmentation branch for every class, background first; `None` (null) of a class that neither truth nor
    /// segmentation have.
    pub seg_iou: Vec<Option<f64>>,
}

/// What follows a map's name in JSON.
const MIOU: &str = "_miou";

impl Serialize for EvalScores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, miou) in self.miou.iter() {
            object.serialize_entry(&format!("{name}{MIOU}"), miou)?;
        }
        object.serialize_entry("cls_f1", &self.cls_f1)?;
        object.serialize_entry("seg_iou", &self.seg_iou)?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for EvalScores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object: Named<serde_json::Value> = Named::deserialize(deserializer)?;
        let mut scores = EvalScores::default();
        let mut miou = Vec::new();
        for (name, value) in object.iter() {
            let misfit = |error: serde_json::Error| D::Error::custom(error);
            let number = |value| Option::deserialize(value).map(|number| number.unwrap_or(f64::NAN));
            match name.strip_suffix(MIOU) {
                Some(map) => miou.push((map.to_owned(), number(value).map_err(misfit)?)),
                None if name == "cls_f1" => scores.cls_f1 = number(value).map_err(misfit)?,
                None if name == "seg_iou" => scores.seg_iou = Vec::deserialize(value).map_err(misfit)?,
                None => return Err(D::Error::custom(format!("`{name}` is no score of an evaluation"))),
            }
        }
        scores.miou = miou.into_iter().collect();
        Ok(scores)
    }
}

/// A line about an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Steps done.
    pub step: usize,
    /// The scores.
    pub eval: EvalScores,
}

/// Any line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// About a training step.
    Step(StepRecord),
    /// About an evaluation.
    Eval(EvalRecord),
}

impl From<StepRecord> for Record {
    fn from(record: StepRecord) -> Self {
        Record::Step(record)
    }
}

impl From<EvalRecord> for Record {
    fn from(record: EvalRecord) -> Self {
        Record::Eval(record)
    }
}

/// Appends lines to `metrics.jsonl`.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    file: File,
}

impl RecordWriter {
    /// Opens the file at `path` for appending, and makes it when it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened.
    pub fn append_to(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// Opens the record of a run that goes on: of its first `bytes` the whole lines stay, everything after them is cut
    /// off.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, read or cut.
    pub fn continue_at(path: impl AsRef<Path>, bytes: u64) -> Result<Self> {
        let path = path.as_ref();
        let cut = || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
            let mut known = Vec::new();
            (&file).take(bytes).read_to_end(&mut known)?;
            let whole_lines = known.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            file.set_len(whole_lines as u64)
        };
        cut().map_err(Error::io(path))?;
        Self::append_to(path)
    }

    /// Puts every line on the disk; gives the length of the file.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk fails.
    pub fn sync(&self) -> Result<u64> {
        self.file.sync_all().and_then(|()| Ok(self.file.metadata()?.len())).map_err(Error::io(&self.path))
    }

    /// Writes one line, in one piece, so that a reader never meets half of it while the run goes on.
    ///
    /// # Errors
    /// [`Error::Io`] when the line cannot be written.
    pub fn write(&mut self, record: impl Into<Record>) -> Result<()> {
        let mut line = serde_json::to_string(&record.into())
            .map_err(|error| Error::Io { path: self.path.clone(), source: error.into() })?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))
    }
}

/// Reads all lines of a `metrics.jsonl`. A last line without its end, left by a run that was killed, is skipped.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Data`] when a line is not a record.
pub fn read_records(path: impl AsRef<Path>) -> Result<Vec<Record>> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let whole_lines = text.rfind('\n').map_or("", |end| &text[..end]);
    whole_lines
        .lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|_| {
                Error::data(path, format!("line {} is not a record of a run", index + 1), "delete that line")
            })
        })
        .collect()
}

/// JSON has no NaN: it is written as null, and comes back here.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Named<f64>, D::Error> {
    Ok(Named::<Option<f64>>::deserialize(deserializer)?.map(|value| value.unwrap_or(f64::NAN)))
}
