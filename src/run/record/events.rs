//! The record of a run as event files, which TensorBoard shows while the run trains.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::lines::{EvalRecord, Record, StepRecord};
use crate::data::Rgb8;
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::formats::tfevents::{Event, Picture, SessionLog, Summary, VERSION, Value, events_of, record_of};

/// The names of event files: seconds since 1970 are between the two.
const BEFORE: &str = "events.out.tfevents.";
const AFTER: &str = ".tagseg";

/// The tag of the contact sheets, which only evaluations have.
const PICTURES: &str = "pictures";

/// Writes an event for every line of the record.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
    /// Background first.
    classes: Vec<String>,
}

impl EventWriter {
    /// The event files in a run's folder, oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        let entries = folder.read_dir().map_err(Error::io(folder))?;
        let own = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(BEFORE) && name.ends_with(AFTER)
        };
        let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(own).collect();
        files.sort();
        Ok(files)
    }

    /// A new file in the folder of a new run. `classes` are the foreground classes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn create(folder: &Path, classes: &[String]) -> Result<Self> {
        Self::continue_with(folder, classes, &[])
    }

    /// A new file for a run that is resumed, with the events of the `records` that it keeps; the older files are
    /// removed. It begins with a start at step 0, so that a TensorBoard that is open forgets what it has read.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, written or removed.
    pub fn continue_with(folder: &Path, classes: &[String], records: &[Record]) -> Result<Self> {
        let old = Self::files(folder)?;
        let mut bytes = record_of(&event(0, Event { file_version: Some(VERSION.into()), ..Event::default() }));
        bytes.extend(record_of(&event(
            0,
            Event { session_log: Some(SessionLog { status: SessionLog::START }), ..Event::default() },
        )));
        for path in &old {
            let events = events_of(&fs::read(path).map_err(Error::io(path))?);
            bytes.extend(events.iter().filter(|event| is_kept(event, records)).flat_map(record_of));
        }
        // TensorBoard reads files in the order of their names, whatever the clock says.
        let newest = old.iter().filter_map(|path| seconds_of(path)).max();
        let seconds = newest.map_or(0, |newest| newest + 1).max(now() as u64);
        let path = folder.join(format!("{BEFORE}{seconds:010}{AFTER}"));
        write_whole(&path, &bytes)?;
        old.iter().try_for_each(|path| fs::remove_file(path).map_err(Error::io(path)))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        let classes = std::iter::once("background".to_owned()).chain(classes.iter().cloned()).collect();
        Ok(EventWriter { path, file, classes })
    }

    /// Writes losses, learning rate and speed.
    ///
    /// # Errors
    /// [`Error::Io`] if the event cannot be written.
    pub fn step(&mut self, record: &StepRecord) -> Result<()> {
        let losses = record.loss.iter().map(|(name, loss)| (format!("loss/{name}"), *loss));
        let empty = record.empty.iter().map(|(name, count)| (format!("empty/{name}"), *count as f64));
        let rates = [("lr".to_owned(), record.lr), ("images_per_second".to_owned(), record.images_per_second)];
        self.write(record.step, numbers(losses.chain(rates).chain(empty)))
    }

    /// Writes scores and the contact sheet.
    ///
    /// # Errors
    /// [`Error::Io`] if the event cannot be written.
    pub fn evaluation(&mut self, record: &EvalRecord, sheet: &Rgb8) -> Result<()> {
        let scores = record.eval.miou.iter().map(|(name, miou)| (format!("miou/{name}"), *miou));
        let f1 = [("f1/tags".to_owned(), record.eval.cls_f1)];
        let classes = self.classes.iter().zip(&record.eval.seg_iou);
        let classes = classes.filter_map(|(class, iou)| Some((format!("iou/{class}"), (*iou)?)));
        let mut values = numbers(scores.chain(f1).chain(classes));
        values.push(Value {
            tag: PICTURES.into(),
            number: None,
            picture: Some(Picture {
                height: sheet.height as i32,
                width: sheet.width as i32,
                channels: 3,
                png: sheet.png()?,
            }),
        });
        self.write(record.step, values)
    }

    /// Syncs the file to disk.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))
    }

    /// Writes one event with a single call, so that a reader hardly ever sees a part of it.
    fn write(&mut self, step: usize, values: Vec<Value>) -> Result<()> {
        let event = event(step, Event { summary: Some(Summary { values }), ..Event::default() });
        self.file.write_all(&record_of(&event)).map_err(Error::io(&self.path))
    }
}

/// An event of now.
fn event(step: usize, event: Event) -> Event {
    Event { wall_time: now(), step: step as i64, ..event }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn seconds_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok()
}

/// Numbers as values; a mean over nothing has none.
fn numbers(named: impl Iterator<Item = (String, f64)>) -> Vec<Value> {
    let finite = named.filter(|(_, number)| number.is_finite());
    finite.map(|(tag, number)| Value { tag, number: Some(number as f32), picture: None }).collect()
}

/// Whether an event belongs to one of the records.
fn is_kept(event: &Event, records: &[Record]) -> bool {
    let Some(summary) = &event.summary else { return false };
    let scored = summary.values.iter().any(|value| value.tag == PICTURES);
    records.iter().any(|record| match record {
        Record::Step(record) => !scored && record.step as i64 == event.step,
        Record::Eval(record) => scored && record.step as i64 == event.step,
    })
}
