//! The page of one run or of several side by side, from what their folders hold.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::chart::{Chart, Series, escape};
use super::html::{Report, document, header, heading, marks, swatch};
use crate::config::Config;
use crate::method::MapInfo;
use crate::run::record::{EvalRecord, Record, StepRecord};

/// A run as its folder shows it.
#[derive(Debug, Clone)]
pub struct ReportedRun {
    /// Its name on the page.
    pub name: String,
    /// The configuration.
    pub config: Config,
    /// The record.
    pub records: Vec<Record>,
    /// The maps of its method.
    pub maps: Vec<MapInfo>,
    /// Steps at which a part of the method begins.
    pub events: Vec<(usize, String)>,
    /// Class names, background first; empty if they are not known.
    pub classes: Vec<String>,
    /// The newest contact sheet: its step, and the PNG file.
    pub picture: Option<(usize, Vec<u8>)>,
}

/// Runs that differ are told apart by so many colours.
pub const MOST_RUNS: usize = 8;

/// Letters of a run's name at the end of a line.
const SHORT: usize = 12;

impl ReportedRun {
    fn steps(&self) -> impl Iterator<Item = &StepRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Step(step) => Some(step),
            Record::Eval(_) => None,
        })
    }

    fn evaluations(&self) -> impl Iterator<Item = &EvalRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Eval(eval) => Some(eval),
            Record::Step(_) => None,
        })
    }

    /// Steps done.
    fn done(&self) -> usize {
        let steps = self.steps().map(|record| record.step);
        steps.chain(self.evaluations().map(|record| record.step)).max().unwrap_or(0)
    }

    /// The evaluation with the best segmentation.
    fn best(&self) -> Option<(usize, f64)> {
        let scores = self.evaluations().filter_map(|record| Some((record.step, *record.eval.miou.get("seg")?)));
        scores.filter(|(_, miou)| !miou.is_nan()).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    }

    fn facts(&self) -> Vec<(String, String)> {
        let config = &self.config;
        let speeds: Vec<_> = self.steps().map(|record| record.images_per_second).collect();
        let speed = (!speeds.is_empty()).then(|| speeds.iter().sum::<f64>() / speeds.len() as f64);
        let facts = [
            ("method", config.method_name.clone()),
            ("encoder", config.model_backbone.clone()),
            ("steps", format!("{} of {}", self.done(), config.train_iters)),
            ("batch", format!("{} of {}²", config.batch_global, config.train_crop)),
            ("seed", config.seed.to_string()),
            ("images per second", speed.map_or("–".into(), |speed| format!("{speed:.2}"))),
        ];
        facts.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn short_name(&self) -> String {
        match self.name.chars().count() > SHORT {
            true => self.name.chars().take(SHORT - 1).chain(['…']).collect(),
            false => self.name.clone(),
        }
    }
}

/// The page of `runs`, of which there is at least one.
pub fn runs_page(title: &str, runs: &[ReportedRun]) -> String {
    let alone = runs.len() == 1;
    let summary = match runs {
        [run] => format!("Losses, scores and pictures of {} steps.", run.done()),
        _ => "Losses, scores, pictures and configurations side by side.".to_owned(),
    };
    let facts = if alone { runs[0].facts() } else { Vec::new() };
    let body = [
        header(title, &summary, &facts),
        if alone { String::new() } else { overview(runs) },
        scores(runs),
        if alone { curves_of_one(&runs[0]) } else { curves(runs) },
        pictures(runs),
        if alone { String::new() } else { differences(runs) },
        configurations(runs),
    ];
    document(title, &body.concat())
}

fn percent(fraction: Option<f64>) -> String {
    fraction.filter(|value| !value.is_nan()).map_or("–".into(), |value| format!("{:.1}", 100.0 * value))
}

/// A run's name with the colour of its lines.
fn name_of(number: usize, run: &ReportedRun) -> String {
    format!("<span class=\"swatch series s{number}\"></span>{}", escape(&run.name))
}

/// A table whose first column is a heading; `class` selects its style.
fn table(class: &str, heads: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let (first, rest) = cells.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let rest: String = rest.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><th scope=\"row\">{first}</th>{rest}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"{class}\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// The facts of every run.
fn overview(runs: &[ReportedRun]) -> String {
    let facts: Vec<_> = runs.iter().map(ReportedRun::facts).collect();
    let heads = ["run".to_owned()].into_iter().chain(facts[0].iter().map(|(name, _)| escape(name)));
    let row = |(number, run): (usize, &ReportedRun)| {
        let values = facts[number].iter().map(|(_, value)| escape(value));
        [name_of(number, run)].into_iter().chain(values).collect()
    };
    let rows: Vec<Vec<String>> = runs.iter().enumerate().map(row).collect();
    format!("<section>\n<h2>Runs</h2>\n{}</section>\n", table("wide", &heads.collect::<Vec<_>>(), &rows))
}

/// Name and title of every map that an evaluation has a score of, in the order of the records.
fn scored_maps(runs: &[ReportedRun]) -> Vec<(String, String)> {
    let mut maps: Vec<(String, String)> = Vec::new();
    for run in runs {
        for (name, _) in run.evaluations().flat_map(|record| record.eval.miou.iter()) {
            if !maps.iter().any(|(known, _)| known == name) {
                let title = run.maps.iter().find(|map| map.name == name).map(|map| map.title);
                let title = title.unwrap_or(if name == "seg" { "segmentation" } else { name });
                maps.push((name.to_owned(), title.to_owned()));
            }
        }
    }
    maps
}

/// The last scores of every run, and those of its classes.
fn scores(runs: &[ReportedRun]) -> String {
    let last: Vec<_> = runs.iter().map(|run| run.evaluations().last()).collect();
    if last.iter().all(Option::is_none) {
        return "<section>\n<h2>Scores</h2>\n<p class=\"note\">No evaluation yet, or no masks to score on.</p>\n\
                </section>\n"
            .to_owned();
    }
    let maps = scored_maps(runs);
    let heads = ["mean IoU in %".to_owned()].into_iter().chain(maps.iter().map(|(_, title)| heading(title)));
    let heads: Vec<_> = heads.chain(["F1 of tags", "at step", "best segmentation"].map(String::from)).collect();
    let row = |(number, run): (usize, &ReportedRun)| {
        let record = last[number];
        let score = |name: &str| percent(record.and_then(|record| record.eval.miou.get(name).copied()));
        let mut cells = vec![name_of(number, run)];
        cells.extend(maps.iter().map(|(name, _)| score(name)));
        cells.push(percent(record.map(|record| record.eval.cls_f1)));
        cells.push(record.map_or("–".into(), |record| record.step.to_string()));
        cells.push(run.best().map_or("–".into(), |(step, miou)| format!("{} at step {step}", percent(Some(miou)))));
        cells
    };
    let rows: Vec<Vec<String>> = runs.iter().enumerate().map(row).collect();
    format!("<section>\n<h2>Scores</h2>\n{}{}</section>\n", table("wide", &heads, &rows), classes(runs, &last))
}

/// The IoU of every class in the last evaluations, if all runs have the same classes.
fn classes(runs: &[ReportedRun], last: &[Option<&EvalRecord>]) -> String {
    let ious: Vec<_> = last.iter().map(|record| record.map_or(&[][..], |record| &record.eval.seg_iou)).collect();
    let count = ious.iter().map(|iou| iou.len()).max().unwrap_or(0);
    let known: Vec<_> = runs.iter().map(|run| &run.classes).filter(|classes| !classes.is_empty()).collect();
    if known.iter().any(|classes| *classes != known[0]) || ious.iter().any(|iou| !iou.is_empty() && iou.len() != count)
    {
        return "<p class=\"note\">The classes of the runs differ, so that their scores cannot be compared.</p>\n"
            .into();
    }
    let name = |class: usize| known.first().and_then(|classes| classes.get(class)).cloned();
    let row = |class: usize| {
        let cell = |(number, iou): (usize, &&[Option<f64>])| match iou.get(class).copied().flatten() {
            Some(iou) => format!(
                "<span class=\"bar s{number}\"><i style=\"width:{0:.1}%\"></i></span><em>{0:.1}</em>",
                100.0 * iou
            ),
            None => "<em>–</em>".to_owned(),
        };
        let head = format!("{}{}", swatch(class), escape(&name(class).unwrap_or_else(|| class.to_string())));
        [head].into_iter().chain(ious.iter().enumerate().map(cell)).collect()
    };
    let heads = ["IoU per class".to_owned()].into_iter();
    let heads: Vec<_> = heads.chain(runs.iter().enumerate().map(|(number, run)| name_of(number, run))).collect();
    let rows: Vec<Vec<String>> = (0..count).map(row).collect();
    format!("<h3>Segmentation by class</h3>\n{}", table("bars", &heads, &rows))
}

fn curves_of_one(run: &ReportedRun) -> String {
    let report = Report {
        records: run.records.clone(),
        maps: run.maps.clone(),
        events: run.events.clone(),
        ..Report::default()
    };
    report.curves()
}

/// A chart for each score and each loss, with a line for each run.
fn curves(runs: &[ReportedRun]) -> String {
    let shared = runs.iter().all(|run| run.events == runs[0].events);
    let events = if shared { marks(&runs[0].events) } else { Vec::new() };
    let chart = |title: &str, percent: bool, points: &dyn Fn(&ReportedRun) -> Vec<(f64, f64)>| {
        let series = |run: &ReportedRun| Series { name: run.short_name(), points: points(run), spread: Vec::new() };
        let chart = Chart {
            title: format!("{title} over steps"),
            series: runs.iter().map(series).collect(),
            smooth: !percent,
            percent,
            events: events.clone(),
            ..Chart::default()
        };
        format!("<h3>{}</h3>\n{}", heading(title), chart.svg())
    };
    let mut html = String::new();
    let maps = scored_maps(runs);
    if !maps.is_empty() {
        html.push_str("<section>\n<h2>Scores over steps</h2>\n");
        for (name, title) in &maps {
            html.push_str(&chart(title, true, &|run| {
                let point = |record: &EvalRecord| Some((record.step as f64, *record.eval.miou.get(name)?));
                run.evaluations().filter_map(point).collect()
            }));
        }
        html.push_str(&chart("F1 of tags", true, &|run| {
            run.evaluations().map(|record| (record.step as f64, record.eval.cls_f1)).collect()
        }));
        html.push_str(
            "<p class=\"note\">Mean IoU, and F1 of the classification, at each evaluation.</p>\n</section>\n",
        );
    }
    let mut losses: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().filter_map(|run| run.steps().next()).flat_map(|record| record.loss.iter()) {
        if !losses.contains(&name) {
            losses.push(name);
        }
    }
    if !losses.is_empty() {
        html.push_str("<section>\n<h2>Losses over steps</h2>\n");
        for name in losses {
            html.push_str(&chart(name, false, &|run| {
                let points = run.steps().filter_map(|record| Some((record.step as f64, *record.loss.get(name)?)));
                // A loss is zero until its phase begins; its line starts there.
                points.skip_while(|(_, value)| *value == 0.0).collect()
            }));
        }
        html.push_str("<p class=\"note\">Smoothed; raw values are faint. Losses before weighting.</p>\n</section>\n");
    }
    html
}

/// The newest contact sheet of every run.
fn pictures(runs: &[ReportedRun]) -> String {
    let sheet = |(number, run): (usize, &ReportedRun)| {
        let (step, png) = run.picture.as_ref()?;
        let name = if runs.len() == 1 { String::new() } else { format!("{}, ", name_of(number, run)) };
        let (alt, data) = (escape(&run.name), BASE64_STANDARD.encode(png));
        Some(format!(
            "<h3>{name}step {step}</h3>\n<figure class=\"sheet\"><img alt=\"Pictures of {alt}\" \
             src=\"data:image/png;base64,{data}\"></figure>\n"
        ))
    };
    let sheets: String = runs.iter().enumerate().filter_map(sheet).collect();
    if sheets.is_empty() { sheets } else { format!("<section>\n<h2>Pictures</h2>\n{sheets}</section>\n") }
}

/// The options in which the runs differ.
fn differences(runs: &[ReportedRun]) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for option in Config::options() {
        let values: Vec<_> = runs.iter().map(|run| option.write(&run.config)).collect();
        if values.iter().any(|value| *value != values[0]) {
            rows.push([option.name].into_iter().chain(values.iter().map(String::as_str)).map(escape).collect());
        }
    }
    let text = match rows.is_empty() {
        true => "<p class=\"note\">The configurations are the same.</p>\n".to_owned(),
        false => {
            let names = runs.iter().enumerate().map(|(number, run)| name_of(number, run));
            table("wide differing", &["option".to_owned()].into_iter().chain(names).collect::<Vec<_>>(), &rows)
        }
    };
    format!("<section>\n<h2>Differences of configuration</h2>\n{text}</section>\n")
}

fn configurations(runs: &[ReportedRun]) -> String {
    let details = |run: &ReportedRun| {
        let of = if runs.len() == 1 { String::new() } else { format!(" of {}", escape(&run.name)) };
        let text = escape(&run.config.to_toml());
        format!("<details>\n<summary>Configuration{of}</summary>\n<pre>{text}</pre>\n</details>\n")
    };
    format!("<section>\n{}</section>\n", runs.iter().map(details).collect::<String>())
}
