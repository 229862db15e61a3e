//! Files of kernel tables, read by `--kernels` and written by `tagseg tune`.
//!
//! ```toml
//! [graphics]
//! busy = 32768
//! rows.short = "together"
//! product.large.long = "4x4"
//! ```
//!
//! Each section contains every choice of [`Kernels`].

use std::path::Path;
use std::str::FromStr;

use crate::engine::kernel::{KernelTable, Kernels};
use crate::error::{Error, Result};

impl KernelTable {
    /// A section in the format of the file, with the comments of choices that have one.
    ///
    /// # Errors
    /// [`Error::Graph`] if `kernels` lacks a choice, which is an error in [`Kernels::choices`].
    pub fn write(section: &str, kernels: &Kernels, comment: impl Fn(&str) -> Option<String>) -> Result<String> {
        let bare = section.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
        let name = if bare { section.to_owned() } else { toml::Value::String(section.to_owned()).to_string() };
        let mut text = format!("[{name}]\n");
        for (choice, variants) in Kernels::choices()? {
            let quote = if variants.is_empty() { "" } else { "\"" };
            let line = format!("{choice} = {quote}{}{quote}", kernels.chosen(&choice)?);
            match comment(&choice) {
                Some(comment) => text += &format!("{line:<34}# {comment}\n"),
                None => text += &format!("{line}\n"),
            }
        }
        Ok(text)
    }
}

/// Reads the file at a path.
impl FromStr for KernelTable {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        let path = Path::new(path);
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        read(&text).map_err(|reason| Error::data(path, reason, "write a table with `tagseg tune`"))
    }
}

/// Parses the text of a file; returns the cause on an error.
fn read(text: &str) -> Result<KernelTable, String> {
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let table: KernelTable = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', ", "))
    })?;
    if table.is_empty() { Err("it has no section".to_owned()) } else { Ok(table) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kernel::Class;

    /// The built-in sections of both device classes.
    fn shipped() -> String {
        let section = |class| {
            let (name, kernels) = KernelTable::choose(None, "", class);
            KernelTable::write(name, &kernels, |_| None).unwrap()
        };
        [Class::Cpu, Class::Gpu].map(section).join("\n")
    }

    /// Protects: every variant of every choice can be written and read back.
    #[test]
    fn every_choice_can_be_made() {
        let (name, kernels) = KernelTable::choose(None, "", Class::Cpu);
        for (choice, variants) in Kernels::choices().unwrap() {
            for variant in variants.iter().chain(variants.is_empty().then_some(&"77")) {
                let changed = kernels.choosing(&choice, variant).unwrap();
                assert_eq!(changed.chosen(&choice).unwrap(), *variant);
                let text =
                    KernelTable::write(name, &changed, |choice| Some(format!("{choice} was something else"))).unwrap();
                assert_eq!(read(&text).unwrap(), KernelTable::of(name, changed));
            }
            assert!(kernels.choosing(&choice, "5x5").is_err(), "{choice}");
        }
        assert!(kernels.choosing("product.tiny.short", "4x4").is_err());
    }

    /// Protects: errors in a file name the line and the allowed values.
    #[test]
    fn errors_name_the_line() {
        let shipped = shipped();
        for (from, to, parts) in [
            ("busy = 256", "bussy = 512", ["unknown field `bussy`", "`busy`", "`rows`"]),
            ("busy = 256", "busy = 0", ["`0`, expected a number of invocations", "1", "1048576"]),
            ("busy = 256", "busy = \"many\"", ["\"many\", expected a number", "1", "1048576"]),
            ("busy = 256\n", "", ["missing field `busy`", "", ""]),
            ("product.small.short = \"4x4\"", "product.small.short = \"5x5\"", ["`5x5`", "`4x4`", "`64x64`"]),
            ("runs = \"alone\"", "runs = ", ["", "", ""]),
        ] {
            assert!(shipped.contains(from));
            let text = shipped.replace(from, to);
            let reason = read(&text).unwrap_err();
            let lines = text.lines().enumerate().filter(|(_, line)| line.contains(to.trim()) || line.starts_with('['));
            let found = lines.map(|(index, _)| format!("line {}: ", index + 1)).any(|line| reason.starts_with(&line));
            assert!(found && !reason.contains('\n'), "{reason}");
            assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
        }
        assert_eq!(read("# nothing\n").unwrap_err(), "it has no section");
    }
}
