//! The results of an ablation: scores of every rung over several seeds, as a table, as JSON and as plots.

use std::path::Path;

use serde::Serialize;

use super::chart::{Chart, Series};
use super::table::Table;
use crate::config::Rung;
use crate::error::{Error, Result};
use crate::formats::durable::write_atomically;
use crate::method::MapInfo;
use crate::method::maps::CAM;
use crate::run::record::{EvalRecord, Scores};

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct LadderRun {
    /// Its rung.
    pub rung: Rung,
    /// Its seed.
    pub seed: u64,
    /// Its evaluations, the last of them after its last step.
    pub evaluations: Vec<EvalRecord>,
}

/// All runs of an ablation that are finished.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ladder {
    /// What was trained, and on what data, in one line.
    pub title: String,
    /// The maps of the methods; those with a reported score are columns.
    pub maps: Vec<MapInfo>,
    /// The runs.
    pub runs: Vec<LadderRun>,
}

/// Mean of some values and their sample standard deviation (divided by n − 1), which a single value does not have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The deviation.
    pub spread: Option<f64>,
    /// The values, in the order of the runs.
    pub values: Vec<f64>,
}

impl Mean {
    /// `None` if there are no values.
    fn of(values: Vec<f64>) -> Option<Self> {
        let count = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let spread = (count > 1.0).then(|| (squares / (count - 1.0)).sqrt());
        Some(Mean { mean, spread, values })
    }

    /// In per cent, as in `43.7 ± 1.2`.
    fn percent(&self) -> String {
        let spread = self.spread.map_or_else(String::new, |spread| format!(" ± {:.1}", 100.0 * spread));
        format!("{:.1}{spread}", 100.0 * self.mean)
    }
}

impl Ladder {
    /// The rungs that have runs, in the order of [`Rung::ALL`].
    fn rungs(&self) -> impl Iterator<Item = Rung> + '_ {
        Rung::ALL.into_iter().filter(|rung| self.runs_of(*rung).next().is_some())
    }

    fn runs_of(&self, rung: Rung) -> impl Iterator<Item = &LadderRun> {
        self.runs.iter().filter(move |run| run.rung == rung)
    }

    /// The columns, as names and titles of maps: the segmentation, and the maps that the methods report a score of.
    fn columns(&self) -> Vec<(&'static str, &'static str)> {
        let mut columns = vec![(Scores::SEG, Scores::SEG)];
        for map in self.maps.iter().filter(|map| map.headline) {
            if !columns.iter().any(|(name, _)| *name == map.name) {
                columns.push((map.name, map.title));
            }
        }
        columns
    }

    /// A map's final score on a rung; `None` for a branch that the rung does not train and a map that it does not have.
    fn score(&self, rung: Rung, map: &str) -> Option<Mean> {
        let untrained = rung == Rung::Cls && map == Scores::SEG;
        let last = |run: &LadderRun| run.evaluations.last().and_then(|record| record.eval.miou.get(map).copied());
        if untrained { None } else { Mean::of(self.runs_of(rung).filter_map(last).collect()) }
    }

    /// The table's rows as text, starting with the heads.
    fn rows(&self) -> Vec<Vec<String>> {
        let columns = self.columns();
        let titles = columns.iter().map(|(_, title)| *title);
        let heads = ["rung", "runs"].into_iter().chain(titles).chain([""]);
        let mut rows = vec![heads.map(String::from).collect::<Vec<_>>()];
        for rung in self.rungs() {
            let mut row = vec![rung.name().to_owned(), self.runs_of(rung).count().to_string()];
            let score = |map: &str| self.score(rung, map).map_or("–".into(), |mean| mean.percent());
            row.extend(columns.iter().map(|(map, _)| score(map)));
            row.push(rung.summary().to_owned());
            rows.push(row);
        }
        rows
    }

    /// The table for the terminal.
    pub fn table(&self) -> String {
        let mut rows = self.rows().into_iter().map(|mut row| {
            row.pop();
            row
        });
        let mut table = Table::new(rows.next().unwrap_or_default());
        rows.for_each(|row| {
            table.row(row);
        });
        table.to_string()
    }

    /// The table as a Markdown page with the plots.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Ablation\n\n{}. Mean IoU in %, mean ± standard deviation over the seeds.\n\n\
             ![Scores of every rung](ladder.png)\n\n",
            self.title
        );
        for (index, row) in self.rows().into_iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if index == 0 {
                text.push_str(&format!("|---|---:|{}---|\n", "---:|".repeat(self.columns().len())));
            }
        }
        if self.feedback().is_some() {
            text.push_str("\n![Both branches over training, with and without feedback](feedback.png)\n");
        }
        text
    }

    /// Everything as JSON.
    pub fn json(&self) -> serde_json::Value {
        let rung = |rung: Rung| {
            let seeds: Vec<_> = self.runs_of(rung).map(|run| run.seed).collect();
            let mut object = serde_json::json!({ "rung": rung.name(), "run_seeds": seeds });
            for (map, _) in self.columns() {
                object[format!("{map}_miou")] = serde_json::json!(self.score(rung, map));
            }
            object
        };
        serde_json::json!({ "title": self.title, "rungs": self.rungs().map(rung).collect::<Vec<_>>() })
    }

    /// The final scores of every rung; baselines are only in the table.
    pub fn chart(&self) -> Chart {
        let rungs: Vec<_> = self.rungs().filter(|rung| Rung::LADDER.contains(rung)).collect();
        let series = |(map, title): (&str, &str)| {
            let score = |(place, rung): (usize, &Rung)| self.score(*rung, map).map(|mean| (place as f64, mean));
            line(title, rungs.iter().enumerate().filter_map(score).collect())
        };
        Chart {
            title: "mean IoU of every rung".into(),
            series: self.columns().into_iter().map(series).collect(),
            percent: true,
            places: rungs.iter().map(|rung| rung.name().to_owned()).collect(),
            ..Chart::default()
        }
    }

    /// Segmentation and seeds over the steps, with and without the feedback of s2c; `None` if either did not run.
    pub fn feedback(&self) -> Option<Chart> {
        let series = |name: &str, rung: Rung, map: &str| {
            let runs: Vec<_> = self.runs_of(rung).collect();
            let steps: Vec<_> = runs.first()?.evaluations.iter().map(|record| record.step).collect();
            let at = |(index, step): (usize, usize)| {
                let values =
                    runs.iter().filter_map(|run| run.evaluations.get(index)).filter(|record| record.step == step);
                let values = values.filter_map(|record| record.eval.miou.get(map).copied());
                Mean::of(values.collect()).map(|mean| (step as f64, mean))
            };
            Some(line(name, steps.into_iter().enumerate().filter_map(at).collect()))
        };
        let series = [
            series("seg+s2c", Rung::S2c, Scores::SEG)?,
            series("seeds+s2c", Rung::S2c, CAM.name)?,
            series("seg", Rung::C2s, Scores::SEG)?,
            series("seeds", Rung::C2s, CAM.name)?,
        ];
        let title = "mean IoU over steps, with and without feedback from the segmentation to the seeds".into();
        Some(Chart { title, series: series.into(), percent: true, ..Chart::default() })
    }

    /// Writes `ladder.md`, `ladder.json`, `ladder.png` and, if both of its rungs ran, `feedback.png`.
    ///
    /// # Errors
    /// [`Error::Io`] if one cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| write_atomically(&folder.join(name), bytes);
        let json = serde_json::to_string_pretty(&self.json()).map_err(|error| Error::Graph(error.to_string()))?;
        write("ladder.png", &self.chart().picture().png()?)?;
        if let Some(chart) = self.feedback() {
            write("feedback.png", &chart.picture().png()?)?;
        }
        write("ladder.json", format!("{json}\n").as_bytes())?;
        write("ladder.md", self.markdown().as_bytes())
    }
}

/// A line of means with their standard deviations.
fn line(name: &str, means: Vec<(f64, Mean)>) -> Series {
    Series {
        name: name.to_owned(),
        points: means.iter().map(|(x, mean)| (*x, mean.mean)).collect(),
        spread: means.iter().map(|(_, mean)| mean.spread.unwrap_or(0.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::bmp::MAPS;
    use crate::run::record::EvalScores;

    fn run(rung: Rung, seed: u64, seg_miou: f64) -> LadderRun {
        let record = |step, seg_miou| {
            let miou = [("seg", seg_miou), ("cam", 0.3), ("y_c", 0.0)].into_iter().collect();
            EvalRecord { step, eval: EvalScores { miou, ..EvalScores::default() } }
        };
        LadderRun { rung, seed, evaluations: vec![record(5, 0.1), record(10, seg_miou)] }
    }

    /// Protects: the mean and the deviation of the last evaluations, the order of the rungs regardless of that of the
    /// runs, no score for a branch that was not trained, and no deviation of one run.
    #[test]
    fn the_table_has_mean_and_deviation_over_seeds() {
        let runs =
            vec![run(Rung::S2c, 1, 0.5), run(Rung::C2s, 1, 0.375), run(Rung::C2s, 2, 0.5), run(Rung::Cls, 1, 0.0)];
        let ladder = Ladder { title: "shapes".into(), maps: MAPS.to_vec(), runs };
        let rows = ladder.rows();
        assert_eq!(rows[1][..5], ["cls", "1", "–", "30.0", "0.0"]);
        assert_eq!(rows[2][..4], ["c2s", "2", "43.8 ± 8.8", "30.0 ± 0.0"]);
        assert_eq!(rows[3][..3], ["s2c", "1", "50.0"]);
        let feedback = ladder.feedback().unwrap();
        assert_eq!(feedback.series[2].points, [(5.0, 0.1), (10.0, 0.4375)]);
        assert!(ladder.json()["rungs"][0]["seg_miou"].is_null());
    }
}
