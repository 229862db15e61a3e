//! The record of a run: `metrics.jsonl`, one JSON object per line, append-only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::named::Named;
use crate::error::{Error, Result};

/// A line about a training step. Its losses are means over the steps since the previous line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: usize,
    /// `total`, which was minimised, and every loss of the method before its weight (method.md 6.6).
    #[serde(deserialize_with = "null_is_nan")]
    pub loss: Named<f64>,
    /// Learning rate of the encoder in this step.
    pub lr: f64,
    /// Training images per second since the previous line.
    pub images_per_second: f64,
    /// How many replica groups since the previous line had no labelled pixel, by loss (method.md 6.5); empty for a
    /// method that counts none.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub empty: Named<u64>,
}

/// Scores of an evaluation during training, as fractions (method.md 9.2). In JSON, an object with keys such as
/// `seg_miou`.
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

/// The suffix of a map's name in JSON.
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
                None => return Err(D::Error::custom(format!("`{name}` is not a score of an evaluation"))),
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
    /// Opens the file at `path` for appending; creates it if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened.
    pub fn append_to(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    /// Opens the record of a run that is resumed: keeps the complete lines of the first `bytes` and truncates the
    /// rest.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, read or truncated.
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

    /// Syncs the file to disk and returns its length.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn sync(&self) -> Result<u64> {
        self.file.sync_all().and_then(|()| Ok(self.file.metadata()?.len())).map_err(Error::io(&self.path))
    }

    /// Writes one line with a single call, so that a reader never sees a partial line while training runs.
    ///
    /// # Errors
    /// [`Error::Io`] if the line cannot be written.
    pub fn write(&mut self, record: impl Into<Record>) -> Result<()> {
        let mut line = serde_json::to_string(&record.into())
            .map_err(|error| Error::Io { path: self.path.clone(), source: error.into() })?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))
    }
}

/// Reads all lines of a `metrics.jsonl`. An incomplete last line, left by a run that was killed, is skipped.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Data`] if a line is not a record.
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

/// Reads null as NaN, which JSON cannot represent.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Named<f64>, D::Error> {
    Ok(Named::<Option<f64>>::deserialize(deserializer)?.map(|value| value.unwrap_or(f64::NAN)))
}
