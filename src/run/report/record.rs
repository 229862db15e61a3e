//! The record of a run: `metrics.jsonl`, one JSON object a line, only ever appended to.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};

/// The losses of a step, before weighting; `total` is their weighted sum (spec 6.6).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Losses {
    /// What was minimised.
    #[serde(deserialize_with = "null_is_nan")]
    pub total: f64,
    /// Image classification.
    #[serde(deserialize_with = "null_is_nan")]
    pub cls: f64,
    /// `Y_c` against the segmentation branch.
    #[serde(deserialize_with = "null_is_nan")]
    pub c2s: f64,
    /// `Y_s` against the classification branch.
    #[serde(deserialize_with = "null_is_nan")]
    pub s2c: f64,
    /// Affinity.
    #[serde(deserialize_with = "null_is_nan")]
    pub aff: f64,
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Losses { total, cls, c2s, s2c, aff } = self;
        write!(f, "loss {total:.4} (cls {cls:.3} c2s {c2s:.3} s2c {s2c:.3} aff {aff:.3})")
    }
}

/// How often a loss had no pixel to act on since the line before (spec 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EmptyMasks {
    /// Replicas whose `Y_c` was ignored everywhere.
    pub c2s: u64,
    /// Replicas whose `Y_s` was ignored everywhere.
    pub s2c: u64,
}

/// A line about a training step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps done.
    pub step: usize,
    /// Its losses.
    pub loss: Losses,
    /// Learning rate of the encoder in this step.
    pub lr: f64,
    /// Training images a second since the line before.
    pub images_per_second: f64,
    /// Losses without a pixel.
    pub empty: EmptyMasks,
}

/// Scores of an evaluation during training, as fractions (spec 9.2).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvalScores {
    /// Mean IoU of the segmentation branch.
    pub seg_miou: f64,
    /// Mean IoU of the seeds.
    pub cam_miou: f64,
    /// Mean IoU of `Y_c`.
    pub y_c_miou: f64,
    /// Multi-label F1 of the image classification.
    pub cls_f1: f64,
    /// IoU of the segmentation branch for every class, background first; `None` (null) where the truth has no pixel.
    pub seg_iou: Vec<Option<f64>>,
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
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
