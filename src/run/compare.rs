//! `tagseg report`: the page of one run or of several, from their folders alone: no device, no data set.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::formats::durable::write_whole;
use crate::method::{Methods, Schedule};
use crate::parts::network::NetworkConfig;
use crate::run::record::read_records;
use crate::run::report::{MOST_RUNS, ReportedRun, runs_page};
use crate::run::weights::Checkpoint;

/// Options of a page about runs.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// The runs' folders, at least one.
    pub runs: Vec<PathBuf>,
    /// The page's file.
    pub out: PathBuf,
    /// Heading; without one, the names of the runs.
    pub title: Option<String>,
    /// Where the methods of the runs are found.
    pub methods: Methods,
}

/// Writes the page.
///
/// # Errors
/// If a folder is not that of a run, its files cannot be read, a run is given twice, or there are too many.
pub fn compare(options: &CompareOptions) -> Result<()> {
    let CompareOptions { runs, out, title, methods } = options;
    if let Some(extra) = runs.get(MOST_RUNS) {
        let reason = format!("is one run too many: a page shows at most {MOST_RUNS}");
        return Err(Error::data(extra, reason, "write several pages"));
    }
    let places: Vec<_> = runs.iter().map(|run| run.canonicalize().unwrap_or_else(|_| run.clone())).collect();
    if let Some(twice) = (1..runs.len()).find(|&index| places[..index].contains(&places[index])) {
        return Err(Error::data(&runs[twice], "is given twice", "give every run once"));
    }
    let names = names_of(&places);
    let read = places.iter().zip(runs).zip(&names).map(|((place, run), name)| read(place, run, name, methods));
    let reported = read.collect::<Result<Vec<_>>>()?;
    let title = title.clone().unwrap_or_else(|| names.join(", "));
    write_whole(out, runs_page(&title, &reported).as_bytes())
}

/// The names of folders; those that are not unique get the folders above them.
fn names_of(places: &[PathBuf]) -> Vec<String> {
    let last = |place: &Path, count: usize| {
        let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
        parts[parts.len().saturating_sub(count)..].join("/")
    };
    let longest = places.iter().map(|place| place.iter().count()).max().unwrap_or(1);
    let names = |count: usize| places.iter().map(|place| last(place, count)).collect::<Vec<_>>();
    let unique = |names: &Vec<String>| (1..names.len()).all(|index| !names[..index].contains(&names[index]));
    (1..=longest).map(names).find(unique).unwrap_or_else(|| names(longest))
}

/// Reads the folder of a run, `run` as the user named it.
fn read(place: &Path, run: &Path, name: &str, methods: &Methods) -> Result<ReportedRun> {
    let (config, metrics) = (place.join("config.toml"), place.join("metrics.jsonl"));
    if !config.is_file() || !metrics.is_file() {
        let missing = if config.is_file() { "metrics.jsonl" } else { "config.toml" };
        let reason = format!("is not the folder of a run: it has no {missing}");
        return Err(Error::data(run, reason, "give a folder that `tagseg train` wrote"));
    }
    let text = std::fs::read_to_string(&config).map_err(Error::io(&config))?;
    let config = Config::from_toml(&text)
        .map_err(|error| Error::data(&config, error.to_string(), "give a run of this version of tagseg"))?;
    // A run of a method of another program has curves and scores, but no titles of maps and no starts of phases.
    let method = methods.of(&config).ok();
    // A run that was copied without its checkpoints has no names of classes.
    let classes = Checkpoint::open(place).map(|found| found.checkpoint.classes).unwrap_or_default();
    let encoder = NetworkConfig::new(&config, classes.len().max(1)).map(|network| network.encoder);
    let events = match (&method, encoder) {
        (Some(method), Ok(encoder)) => Schedule::new(method, &config, &encoder).beginnings(),
        _ => Vec::new(),
    };
    let background = (!classes.is_empty()).then(|| "background".to_owned());
    Ok(ReportedRun {
        name: name.to_owned(),
        records: read_records(&metrics)?,
        maps: method.map(|method| method.maps().to_vec()).unwrap_or_default(),
        events,
        classes: background.into_iter().chain(classes).collect(),
        picture: newest_picture(&place.join("pictures"))?,
        config,
    })
}

/// The contact sheet of the latest step, if there is one.
fn newest_picture(folder: &Path) -> Result<Option<(usize, Vec<u8>)>> {
    let entries = folder.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let step = |path: PathBuf| {
        let step = path.file_name()?.to_str()?.strip_prefix("step_")?.strip_suffix(".png")?.parse().ok()?;
        Some((step, path))
    };
    match entries.filter_map(step).max() {
        Some((step, path)) => Ok(Some((step, std::fs::read(&path).map_err(Error::io(&path))?))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: two runs of the same name in different folders can be told apart.
    #[test]
    fn names_are_as_short_as_they_can_be() {
        let names = |places: &[&str]| names_of(&places.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/a/x", "/b/y"]), ["x", "y"]);
        assert_eq!(names(&["/a/run", "/b/run"]), ["a/run", "b/run"]);
        assert_eq!(names(&["/run", "/b/run"]), ["//run", "b/run"]);
    }
}
