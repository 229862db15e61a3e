//! Event files beside the record. `tests/formats` reads them with TensorBoard's own reader.

use std::fs;

use tagseg::formats::tfevents::{Event, VERSION, events_of};
use tagseg::run::record::EventWriter;

use crate::place::{Place, errors, succeed};

/// The events of the only event file of a run.
fn events(place: &Place, run: &str) -> Vec<Event> {
    let files = EventWriter::files(&place.path(run)).unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    events_of(&fs::read(&files[0]).unwrap())
}

/// Steps and tags of all events with values.
fn values(events: &[Event]) -> Vec<(i64, Vec<String>)> {
    let tags = |event: &Event| event.summary.iter().flat_map(|s| &s.values).map(|value| value.tag.clone()).collect();
    events.iter().map(|event| (event.step, tags(event))).filter(|(_, tags): &(_, Vec<_>)| !tags.is_empty()).collect()
}

/// Protects: event files are written if that is asked for, with an event for each line of the record; a resumed run has
/// each event once, whatever its file ended with; a new run removes those of the old one.
#[test]
fn events_follow_the_record() {
    let place = Place::new();
    let more = ["train.iters=4", "train.log_every=1", "train.eval_every=2", "train.keep=0", "train.tensorboard=true"];
    let more: Vec<_> = more.iter().flat_map(|setting| ["--set", setting]).collect();
    let train = |more: &[&str]| {
        let output = place.train(more).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    };
    train(&more);
    let whole = events(&place, "run");
    assert_eq!(whole[0].file_version.as_deref(), Some(VERSION));
    let tags = values(&whole);
    assert_eq!(tags.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 2, 2, 3, 4, 4]);
    let losses = ["loss/total", "loss/cls", "loss/c2s", "loss/s2c", "loss/aff", "lr", "images_per_second"];
    assert_eq!(tags[0].1, [&losses[..], &["empty/c2s", "empty/s2c"]].concat());
    assert!(["miou/seg", "f1/tags", "iou/background", "pictures"].iter().all(|tag| tags[2].1.contains(&(*tag).into())));

    // As if the run had been killed in step 4, in the middle of an event.
    let file = EventWriter::files(&place.path("run")).unwrap().remove(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    fs::remove_file(place.path("run/checkpoints/step_0000004.safetensors")).unwrap();
    succeed(&["train", "--resume", &place.arg("run")]);
    let resumed = events(&place, "run");
    assert_eq!(values(&resumed), tags);
    assert_eq!(resumed[2].wall_time, whole[2].wall_time, "kept events keep their time");
    assert!(!file.exists(), "a file of a later name");

    train(&[&more[..], &["--overwrite"]].concat());
    assert_eq!(values(&events(&place, "run")), tags);
    train(&["--overwrite"]);
    assert!(EventWriter::files(&place.path("run")).unwrap().is_empty(), "off by default");
}
