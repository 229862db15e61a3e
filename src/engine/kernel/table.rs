//! Tables of kernel choices: the one of the repository, and those that `tagseg tune` proposes.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::target::{Class, Kernels, Target};
use crate::error::{Error, Result};

/// Sections of kernel choices by name: `software` and `graphics` are for the two classes of devices, any other for
/// adapters whose name contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTable(BTreeMap<String, Kernels>);

static SHIPPED: LazyLock<KernelTable> = LazyLock::new(|| match read(include_str!("kernels.toml")) {
    Ok(table) => table,
    Err(reason) => unreachable!("src/engine/kernel/kernels.toml: {reason}"),
});

impl KernelTable {
    /// The table of the repository, `src/engine/kernel/kernels.toml`.
    pub fn shipped() -> &'static KernelTable {
        &SHIPPED
    }

    /// A table of one section.
    pub fn of(section: &str, kernels: Kernels) -> Self {
        KernelTable(BTreeMap::from([(section.to_owned(), kernels)]))
    }

    /// The section for an adapter with its name: that with the longest name which the adapter's contains, else that of
    /// its class, if there is one.
    pub fn find(&self, adapter: &str, class: Class) -> Option<(&str, Kernels)> {
        let adapter = adapter.to_lowercase();
        let named = self.0.keys().filter(|name| adapter.contains(&name.to_lowercase()));
        let name = named.max_by_key(|name| name.len()).map_or(name(class), String::as_str);
        self.0.get_key_value(name).map(|(name, kernels)| (name.as_str(), *kernels))
    }

    /// The section for an adapter in `own` table, or else in that of the repository.
    pub fn choose<'a>(own: Option<&'a KernelTable>, adapter: &str, class: Class) -> (&'a str, Kernels) {
        match own.into_iter().chain([Self::shipped()]).find_map(|table| table.find(adapter, class)) {
            Some(found) => found,
            None => unreachable!("src/engine/kernel/kernels.toml has no section `{}`", name(class)),
        }
    }

    /// A section as it stands in a file, with a comment behind choices that have one.
    ///
    /// # Errors
    /// [`Error::Graph`] if `kernels` lacks a choice: a mistake in [`Kernels::CHOICES`], found by a test.
    pub fn write(section: &str, kernels: &Kernels, comment: impl Fn(&str) -> Option<String>) -> Result<String> {
        let bare = section.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
        let name = if bare { section.to_owned() } else { toml::Value::String(section.to_owned()).to_string() };
        let mut text = format!("[{name}]\n");
        for (choice, variants) in Kernels::CHOICES {
            let quote = if variants.is_empty() { "" } else { "\"" };
            let line = format!("{choice} = {quote}{}{quote}", kernels.chosen(choice)?);
            match comment(choice) {
                Some(comment) => text += &format!("{line:<34}# {comment}\n"),
                None => text += &format!("{line}\n"),
            }
        }
        Ok(text)
    }
}

/// The name of a class in a table.
fn name(class: Class) -> &'static str {
    match class {
        Class::Cpu => "software",
        Class::Gpu => "graphics",
    }
}

/// The choices of the table of the repository for a class of devices.
impl From<Class> for Target {
    fn from(class: Class) -> Self {
        KernelTable::choose(None, "", class).1.into()
    }
}

impl Target {
    /// What the table of the repository says of software devices.
    pub fn software() -> Self {
        Class::Cpu.into()
    }

    /// What the table of the repository says of graphics cards.
    pub fn graphics() -> Self {
        Class::Gpu.into()
    }
}

/// Reads a file, which is named by its path.
impl FromStr for KernelTable {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self> {
        let path = Path::new(path);
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        read(&text).map_err(|reason| Error::data(path, reason, "write it as `tagseg tune` does"))
    }
}

/// A table out of the text of a file, or what is wrong with it.
fn read(text: &str) -> Result<KernelTable, String> {
    let table: KernelTable = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line}: {}", error.message().replace('\n', ", "))
    })?;
    if table.0.is_empty() { Err("it has no section".to_owned()) } else { Ok(table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> String {
        KernelTable::shipped()
            .0
            .iter()
            .map(|(name, kernels)| KernelTable::write(name, kernels, |_| None).unwrap() + "\n")
            .collect()
    }

    /// Protects: the table of the repository decides every choice for every class of devices, in the form that proposals
    /// have, and what is chosen is one of what may be.
    #[test]
    fn the_shipped_table_is_whole() {
        let text = include_str!("kernels.toml");
        let sections =
            |text: &str| text[text.find("\n[").unwrap() + 1..].lines().map(str::to_owned).collect::<Vec<_>>();
        let mut lines = sections(text);
        lines.push(String::new());
        let mut written: Vec<_> = format!("\n{}", shipped()).lines().skip(1).map(str::to_owned).collect();
        for table in [&mut lines, &mut written] {
            table.sort();
        }
        assert_eq!(lines, written);
        for class in [Class::Cpu, Class::Gpu] {
            let (_, kernels) = KernelTable::shipped().find("", class).unwrap();
            for (choice, variants) in Kernels::CHOICES {
                let chosen = kernels.chosen(choice).unwrap();
                assert!(variants.is_empty() || variants.contains(&chosen.as_str()), "{choice} = {chosen}");
            }
        }
    }

    /// Protects: every variant of every choice can be written and read back.
    #[test]
    fn every_choice_can_be_made() {
        let (name, kernels) = KernelTable::choose(None, "", Class::Cpu);
        for (choice, variants) in Kernels::CHOICES {
            for variant in variants.iter().chain(variants.is_empty().then_some(&"77")) {
                let changed = kernels.choosing(choice, variant).unwrap();
                assert_eq!(changed.chosen(choice).unwrap(), *variant);
                let text =
                    KernelTable::write(name, &changed, |choice| Some(format!("{choice} was something else"))).unwrap();
                assert_eq!(read(&text).unwrap(), KernelTable::of(name, changed));
            }
            assert!(kernels.choosing(choice, "5x5").is_err(), "{choice}");
        }
        assert!(kernels.choosing("product.tiny.short", "4x4").is_err());
    }

    /// Protects: the section with the longest name that fits goes before that of the class, a table of one's own before
    /// that of the repository, and where it has nothing to say nothing changes.
    #[test]
    fn the_nearest_section_is_chosen() {
        let (_, kernels) = KernelTable::choose(None, "", Class::Cpu);
        let busy = |count: &str| kernels.choosing("busy", count).unwrap();
        let sections = [("nvidia", "1"), ("NVIDIA H200", "2"), ("graphics", "3")];
        let own = KernelTable(sections.into_iter().map(|(name, count)| (name.to_owned(), busy(count))).collect());
        let chosen = |adapter, class| KernelTable::choose(Some(&own), adapter, class);
        assert_eq!(chosen("Nvidia H200 NVL", Class::Gpu), ("NVIDIA H200", busy("2")));
        assert_eq!(chosen("NVIDIA RTX 4060", Class::Gpu), ("nvidia", busy("1")));
        assert_eq!(chosen("Apple M2", Class::Gpu), ("graphics", busy("3")));
        assert_eq!(chosen("llvmpipe", Class::Cpu), ("software", kernels));
    }

    /// Protects: what is wrong with a file is told with its line and what is allowed there.
    #[test]
    fn a_wrong_table_is_told_by_its_line() {
        let shipped = shipped();
        for (from, to, parts) in [
            ("busy = 256", "bussy = 512", ["unknown field `bussy`", "`busy`", "`rows`"]),
            ("busy = 256", "busy = 0", ["0 is no number of invocations", "1", "1048576"]),
            ("busy = 256", "busy = \"many\"", ["\"many\" is no number", "1", "1048576"]),
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
