//! A proposal as a table, and as a file for `--kernels`.

use std::fmt;

use super::tuned::Tuned;
use crate::engine::kernel::KernelTable;
use crate::error::Result;
use crate::run::report::Table;

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, measured at the shapes of {}\n", self.adapter, self.steps.join(" and "))?;
        let mut table = Table::new(["choice", "current", "proposal", "speed-up", "shapes"]);
        for choice in &self.choices {
            let (proposal, gain) = match &choice.proposal {
                Some((variant, gain)) => (variant.clone(), format!("{gain:.2}")),
                None => ("–".to_owned(), "–".to_owned()),
            };
            table.row([choice.name.clone(), choice.current.clone(), proposal, gain, choice.shapes.to_string()]);
        }
        write!(f, "{table}")?;
        self.notices.iter().try_for_each(|notice| write!(f, "\n{notice}"))
    }
}

impl Tuned {
    /// The proposed section of a kernel table for the adapter, with the measurements as comments, as a file.
    ///
    /// # Errors
    /// As [`KernelTable::write`].
    pub fn to_toml(&self) -> Result<String> {
        let comment = |name: &str| {
            let choice = self.choices.iter().find(|choice| choice.name == name)?;
            let (_, gain) = choice.proposal.as_ref()?;
            Some(format!("{gain:.2} times as fast as {}", choice.current))
        };
        Ok(format!(
            "# Proposed by `tagseg tune` {}, for use with `--kernels`.\n# {}\n# Measured at the shapes of {}.\n\n{}",
            env!("CARGO_PKG_VERSION"),
            self.driver,
            self.steps.join(" and "),
            KernelTable::write(&self.adapter, &self.kernels, comment)?
        ))
    }
}
