//! Reading and writing configurations: TOML files and `key=value` arguments.

use std::path::Path;

use super::options::{Config, OptionInfo};
use super::retired;
use crate::error::{Error, Result};

impl Config {
    /// A complete configuration from text as written by [`Config::to_toml`]; missing options have their defaults.
    ///
    /// # Errors
    /// Those of [`Config::load_toml`] and [`Config::validate`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let mut config = Self::default();
        config.load_toml(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Overrides options with those in a file.
    ///
    /// # Errors
    /// [`Error::Data`] if the file cannot be read, otherwise those of [`Config::load_toml`].
    pub fn load_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::data(&path, error.to_string(), "give a TOML file, e.g. the output of `tagseg config`")
        })?;
        self.load_toml(&text)
    }

    /// Overrides options with those in TOML `text`: in tables, as dotted keys, or as quoted dotted keys
    /// (`"sigma_s.domain"`, because `sigma_s` is itself a value). On an error, no option changes.
    ///
    /// # Errors
    /// [`Error::Config`] if the text is not TOML, a key is unknown (with the most similar key), or a value has the
    /// wrong type or is out of range (with the allowed values).
    pub fn load_toml(&mut self, text: &str) -> Result<()> {
        // Some editors begin a file with a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let table: toml::Table = text.parse().map_err(|error| not_toml(text, &error))?;
        let mut changed = self.clone();
        changed.load_table("", &table)?;
        *self = changed;
        Ok(())
    }

    fn load_table(&mut self, prefix: &str, table: &toml::Table) -> Result<()> {
        for (key, value) in table {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => self.load_table(&name, inner)?,
                value => self.apply(&name, value)?,
            }
        }
        Ok(())
    }

    /// Sets one option from a `key=value` argument. The value is parsed as TOML; a bare word is a string.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no `=`, the key is unknown, or the value is not allowed.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let Some((key, text)) = assignment.split_once('=') else {
            return Err(Error::config(assignment.trim(), "has no value", "write key=value, as in `sigma_c=0.6`"));
        };
        let (key, text) = (key.trim(), text.trim());
        let value = match format!("value = {text}").parse::<toml::Table>() {
            Ok(mut table) if table.len() == 1 => table.remove("value"),
            _ => None,
        };
        self.apply(key, &value.unwrap_or_else(|| toml::Value::String(text.to_owned())))
    }

    /// Sets the option `key` to `value` and updates the options that are shares of the run.
    fn apply(&mut self, key: &str, value: &toml::Value) -> Result<()> {
        if let Some(assignments) = retired::replacement(key, value) {
            return assignments.iter().try_for_each(|assignment| self.set(assignment));
        }
        let option = OptionInfo::find(key)?;
        match option.share_of_run(value) {
            Some(share) => {
                self.shares.insert(option.name, share);
            }
            None => {
                option.read(self, value)?;
                self.shares.remove(option.name);
            }
        }
        for (name, share) in self.shares.clone() {
            let option = OptionInfo::find(name)?;
            let count = (share * self.train_iters as f64).round().max(option.limit.minimum());
            option.read(self, &toml::Value::Integer(count as i64))?;
        }
        Ok(())
    }

    /// The first option whose value differs in `other`.
    pub fn first_difference(&self, other: &Self) -> Option<&'static OptionInfo> {
        Config::options().iter().find(|option| option.write(self) != option.write(other))
    }

    /// The whole configuration as TOML, with the meaning of each option as a comment. [`Config::from_toml`] reads it
    /// back to an equal configuration.
    pub fn to_toml(&self) -> String {
        self.written(|option| option.write(self))
    }

    /// As [`Config::to_toml`], but options that are shares of the run are written as such, so that the text suits runs of
    /// any length.
    pub fn to_toml_with_shares(&self) -> String {
        self.written(|option| match self.shares.get(option.name) {
            Some(&share) => format!("\"{}\"", percent(share)),
            None => option.write(self),
        })
    }

    /// Every option with the value that `write` gives.
    fn written(&self, write: impl Fn(&OptionInfo) -> String) -> String {
        let mut text = String::from("# Configuration of a tagseg run: every option, resolved.\n");
        let mut group = None;
        for option in Config::options() {
            let head = option.name.split('.').next();
            if head != group {
                text.push('\n');
                group = head;
            }
            // TOML requires quotes for a dotted key below a plain value (`sigma_s.domain` below `sigma_s`).
            let below_value = Config::options()
                .iter()
                .any(|other| option.name.strip_prefix(other.name).is_some_and(|rest| rest.starts_with('.')));
            let quote = if below_value { "\"" } else { "" };
            text.push_str(&format!("# {}\n", option.summary()));
            text.push_str(&format!("{quote}{}{quote} = {}\n", option.name, write(option)));
        }
        text
    }
}

/// A share in percent, with as few decimals as give the same share when they are read.
fn percent(share: f64) -> String {
    let same = |text: &String| text.parse::<f64>().is_ok_and(|percent| percent / 100.0 == share);
    let mut texts = (0..17).map(|decimals| format!("{:.decimals$}", 100.0 * share));
    format!("{}%", texts.find(same).unwrap_or_else(|| (100.0 * share).to_string()))
}

/// Two configurations are equal when every option has the same value.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.first_difference(other).is_none()
    }
}

/// A TOML syntax error on one line: the offending line and the parser's first sentence.
fn not_toml(text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let number = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    let reason = error.message().lines().next().unwrap_or_default();
    Error::config(line, format!("line {} is not TOML: {reason}", number + 1), "write `key = value`, strings in quotes")
}
