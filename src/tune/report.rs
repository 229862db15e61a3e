//! A proposal as a table for people, and as a file for `--kernels`.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Tuned;
use crate::error::Result;
use crate::gpu::KernelTable;
use crate::report::Table;

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: at the shapes of {}\n", self.adapter, self.steps.join(" and "))?;
        let mut table = Table::new(["choice", "today", "proposal", "times as fast", "shapes"]);
        for choice in &self.choices {
            let (proposal, gain) = match &choice.proposal {
                Some((variant, gain)) => (variant.clone(), format!("{gain:.2}")),
                None => ("–".to_owned(), "–".to_owned()),
            };
            table.row([choice.name.to_owned(), choice.today.clone(), proposal, gain, choice.shapes.to_string()]);
        }
        write!(f, "{table}")?;
        self.notices.iter().try_for_each(|notice| write!(f, "\n{notice}"))
    }
}

impl Tuned {
    /// The section of a kernel table that is proposed for the adapter, with what was measured, as a file.
    ///
    /// # Errors
    /// Never.
    pub fn to_toml(&self) -> Result<String> {
        let comment = |name: &str| {
            let choice = self.choices.iter().find(|choice| choice.name == name)?;
            let (_, gain) = choice.proposal.as_ref()?;
            Some(format!("{gain:.2} times as fast as {}", choice.today))
        };
        Ok(format!(
            "# Proposed by `tagseg tune` {} on {}, for use with `--kernels`.\n# {}\n# Measured at the shapes of {}.\n\n{}",
            env!("CARGO_PKG_VERSION"),
            date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)),
            self.driver,
            self.steps.join(" and "),
            KernelTable::write(&self.adapter, &self.kernels, comment)?
        ))
    }
}

/// The date so many days after the first of January 1970 (UTC).
fn date(mut days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        let days = [0, 58, 59, 364, 365, 11_016, 11_017, 20_779];
        let dates = ["1970-01-01", "1970-02-28", "1970-03-01", "1970-12-31", "1971-01-01", "2000-02-29", "2000-03-01"];
        assert_eq!(days.map(date)[..7], dates);
        assert_eq!(date(20_779), "2026-11-22");
    }
}
