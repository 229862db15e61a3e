//! `report.html`: a self-contained page about a run that opens from disk.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::chart::{Chart, Series, escape};
use super::sheet::{Sample, cell_of, titles};
use crate::data::palette::colour;
use crate::error::Result;
use crate::formats::durable::write_whole;
use crate::method::MapInfo;
use crate::run::record::{LabelScores, MapScores, Named, Record, Scores};

const STYLE: &str = include_str!("report.css");

/// The contents of the page.
#[derive(Debug, Clone, Default)]
pub struct Report<'a> {
    /// Heading.
    pub title: String,
    /// A sentence or two: what was trained, on what, and what the page shows.
    pub summary: String,
    /// Short facts in order, for example `("device", "llvmpipe")`.
    pub facts: Vec<(String, String)>,
    /// Class names, background first.
    pub classes: Vec<String>,
    /// The maps of the method, whose titles label the curves and tables.
    pub maps: Vec<MapInfo>,
    /// The final scores.
    pub scores: Option<Scores>,
    /// The run's record.
    pub records: Vec<Record>,
    /// Steps at which a part of the method begins, for the curves: `(60, "c2s")`.
    pub events: Vec<(usize, String)>,
    /// Samples to show.
    pub samples: Vec<Sample<'a>>,
    /// The resolved configuration, as TOML.
    pub config: String,
}

impl Report<'_> {
    /// Renders the page.
    ///
    /// # Errors
    /// [`Error::Graph`](crate::error::Error::Graph) if a sample has an empty picture.
    pub fn html(&self) -> Result<String> {
        let body = [
            header(&self.title, &self.summary, &self.facts),
            self.scores.as_ref().map(|scores| self.score_section(scores)).unwrap_or_default(),
            self.curves(),
            self.pictures()?,
            self.configuration(),
        ];
        Ok(document(&self.title, &body.concat()))
    }

    /// Writes the page to `path`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) if the file cannot be written, else those of [`Report::html`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_whole(path.as_ref(), self.html()?.as_bytes())
    }

    fn score_section(&self, scores: &Scores) -> String {
        let tile = |class: &str, value: f64, name: &str, note: &str| {
            // A mean over nothing is NaN.
            let value = if value.is_nan() { "–".to_owned() } else { format!("{:.1}<i>%</i>", 100.0 * value) };
            format!("<div class=\"tile {class}\"><b>{value}</b><span>{name}</span><small>{note}</small></div>\n")
        };
        let headlines: Vec<_> = scores.headlines().collect();
        let mut tiles = String::new();
        for (line, map) in headlines.iter().enumerate() {
            let known = if map.name == Scores::SEG { "mean IoU without tags" } else { "mean IoU with tags given" };
            tiles += &tile(&format!("s{line}"), map.scores.miou, &heading(&map.title), known);
        }
        tiles += &tile("", scores.cls_f1, "Tags", "F1 of the classification");
        let right = scores.get(Scores::SEG).map_or(0.0, |seg| seg.pixel_accuracy);
        format!(
            "<section>\n<h2>Scores</h2>\n<div class=\"tiles\">\n{}</div>\n{}\
             <p class=\"note\">On {} images. Pixel accuracy of the segmentation branch: {:.1}%.</p>\n\
             </section>\n",
            tiles,
            self.class_table(&headlines),
            scores.images,
            100.0 * right
        )
    }

    fn class_table(&self, maps: &[&MapScores]) -> String {
        let cell = |line: usize, label: &LabelScores, index: usize| match label.iou.get(index).copied().flatten() {
            Some(iou) => format!(
                "<td><span class=\"bar s{line}\"><i style=\"width:{0:.1}%\"></i></span><em>{0:.1}</em></td>",
                100.0 * iou
            ),
            None => "<td class=\"none\"><em>absent</em></td>".to_owned(),
        };
        let mut rows = String::new();
        for (index, class) in self.classes.iter().enumerate() {
            let cells: String = maps.iter().enumerate().map(|(line, map)| cell(line, &map.scores, index)).collect();
            rows += &format!("<tr><th scope=\"row\">{}{}</th>{cells}</tr>\n", swatch(index), escape(class));
        }
        let heads: String = maps.iter().map(|map| format!("<th scope=\"col\">{}</th>", heading(&map.title))).collect();
        format!(
            "<table>\n<thead><tr><th scope=\"col\">IoU per class</th>{heads}</tr></thead>\n\
             <tbody>\n{rows}</tbody>\n</table>\n"
        )
    }

    pub(super) fn curves(&self) -> String {
        let (mut losses, mut evaluations) = (Vec::new(), Vec::new());
        for record in &self.records {
            match record {
                Record::Step(record) => losses.push((record.step as f64, record.loss.clone())),
                Record::Eval(record) => evaluations.push((record.step as f64, &record.eval)),
            }
        }
        // Every map that any evaluation has a score for, by the method's title, in the order of the record.
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in evaluations.iter().flat_map(|(_, scores)| scores.miou.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let score = |name: &&str| Series {
            name: self.maps.iter().find(|map| map.name == *name).map_or(*name, |map| map.title).to_owned(),
            points: evaluations.iter().filter_map(|(step, scores)| Some((*step, *scores.miou.get(name)?))).collect(),
            spread: Vec::new(),
        };
        let mut html = String::new();
        if !losses.is_empty() {
            html.push_str(&format!(
                "<section>\n<h2>Losses</h2>\n{}<p class=\"note\">Smoothed; raw values are faint. \
                 The losses before weighting, and their weighted sum.</p>\n</section>\n",
                loss_chart(&losses, &self.events).svg()
            ));
        }
        if !evaluations.is_empty() {
            let chart = Chart {
                title: "mean IoU over steps".into(),
                series: names.iter().map(score).collect(),
                percent: true,
                events: marks(&self.events),
                ..Chart::default()
            };
            html.push_str(&format!(
                "<section>\n<h2>Scores over steps</h2>\n{}\
                 <p class=\"note\">Mean IoU at each evaluation.</p>\n</section>\n",
                chart.svg()
            ));
        }
        html
    }

    fn pictures(&self) -> Result<String> {
        if self.samples.is_empty() {
            return Ok(String::new());
        }
        let rows: Vec<_> = self.samples.iter().map(Sample::cells).collect();
        let columns = titles(&rows);
        let mut html = String::from("<section>\n<h2>Pictures</h2>\n");
        html.push_str(&self.legend());
        for (cells, Sample { caption, .. }) in rows.iter().zip(&self.samples) {
            html.push_str(&format!("<div class=\"row\" style=\"--columns:{}\">\n", columns.len()));
            for column in &columns {
                let picture = match cell_of(cells, column) {
                    Some(cell) => format!(
                        "<img alt=\"{}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">",
                        escape(&format!("{column}: {caption}")),
                        cell.width,
                        cell.height,
                        BASE64_STANDARD.encode(cell.png()?)
                    ),
                    None => String::new(),
                };
                html.push_str(&format!("<figure>{picture}<figcaption>{}</figcaption></figure>\n", subscripts(column)));
            }
            html.push_str(&format!("<p class=\"caption\">{}</p>\n</div>\n", escape(caption)));
        }
        html.push_str("</section>\n");
        Ok(html)
    }

    fn legend(&self) -> String {
        let entries: String = self
            .classes
            .iter()
            .enumerate()
            .map(|(index, class)| format!("<li>{}{}</li>\n", swatch(index), escape(class)))
            .collect();
        format!("<ul class=\"legend\">\n{entries}<li><span class=\"swatch ignored\"></span>ignored</li>\n</ul>\n")
    }

    fn configuration(&self) -> String {
        if self.config.is_empty() {
            return String::new();
        }
        format!(
            "<section>\n<details>\n<summary>Configuration</summary>\n<pre>{}</pre>\n</details>\n</section>\n",
            escape(&self.config)
        )
    }
}

/// A whole page.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// The head of a page: title, summary, facts.
pub(super) fn header(title: &str, summary: &str, facts: &[(String, String)]) -> String {
    let facts: String = facts
        .iter()
        .map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)))
        .collect();
    let facts = if facts.is_empty() { facts } else { format!("<dl class=\"facts\">\n{facts}</dl>\n") };
    format!(
        "<header>\n<p class=\"brand\">tagseg</p>\n<h1>{}</h1>\n<p class=\"summary\">{}</p>\n{facts}</header>\n",
        escape(title),
        escape(summary)
    )
}

/// The curves of the losses by step and name; `events` are steps at which something begins.
pub fn loss_chart(losses: &[(f64, Named<f64>)], events: &[(usize, String)]) -> Chart {
    let line = |name: &str| Series {
        name: name.to_owned(),
        // A loss is zero until its phase begins; its line starts there.
        points: losses
            .iter()
            .filter_map(|(step, losses)| Some((*step, *losses.get(name)?)))
            .skip_while(|(_, y)| *y == 0.0)
            .collect(),
        spread: Vec::new(),
    };
    let names = losses.first().into_iter().flat_map(|(_, losses)| losses.iter());
    Chart {
        title: "losses over steps".into(),
        series: names.map(|(name, _)| line(name)).collect(),
        smooth: true,
        events: marks(events),
        ..Chart::default()
    }
}

/// A title with its subscript as HTML: `Y_c`.
fn subscripts(title: &str) -> String {
    match escape(title).split_once('_') {
        Some((word, index)) => format!("{word}<sub>{index}</sub>"),
        None => escape(title),
    }
}

/// A title with its first letter in upper case.
pub(super) fn heading(title: &str) -> String {
    let mut letters = title.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    subscripts(&format!("{first}{}", letters.as_str()))
}

pub(super) fn marks(events: &[(usize, String)]) -> Vec<(f64, String)> {
    events.iter().map(|(step, word)| (*step as f64, word.clone())).collect()
}

/// A small square in the colour of a class.
pub(super) fn swatch(index: usize) -> String {
    let [r, g, b] = colour(index as u8);
    format!("<span class=\"swatch\" style=\"background:#{r:02x}{g:02x}{b:02x}\"></span>")
}
