//! Amounts of device memory with a unit.

use std::fmt;

use super::value::OptionValue;

/// Limit of a step's device memory: `"8GB"`, `"6.5GiB"`, `"900MB"`, or `"any"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit(pub Option<u64>);

/// Units and their number of bytes.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("GB", 1_000_000_000), ("MB", 1_000_000)];

impl OptionValue for MemoryLimit {
    fn read(value: &toml::Value) -> Option<Self> {
        let text = value.as_str()?.trim();
        if text == "any" {
            return Some(MemoryLimit(None));
        }
        let (count, unit) = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)))?;
        let bytes = count.trim().parse::<f64>().ok()? * unit as f64;
        (bytes >= 1.0 && bytes < 2.0_f64.powi(63)).then_some(MemoryLimit(Some(bytes as u64)))
    }

    fn write(&self) -> String {
        format!("\"{self}\"")
    }

    fn kind() -> String {
        "an amount like \"8GB\" or \"6.5GiB\", or \"any\"".into()
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("any") };
        // The largest unit that divides the amount, otherwise megabytes with all digits: both are exact.
        match UNITS.iter().filter(|(_, unit)| bytes.is_multiple_of(*unit)).max_by_key(|(_, unit)| unit) {
            Some((name, unit)) => write!(f, "{}{name}", bytes / unit),
            None => write!(f, "{}.{:06}MB", bytes / 1_000_000, bytes % 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<MemoryLimit> {
        MemoryLimit::read(&toml::Value::String(text.to_owned()))
    }

    /// Protects: amounts survive writing and reading.
    #[test]
    fn amounts_round_trip() {
        let amounts =
            [("any", None), ("8GB", Some(8_000_000_000)), ("6.5GiB", Some(13 << 29)), ("900 MB", Some(900_000_000))];
        for (text, bytes) in amounts {
            let limit = read(text).unwrap();
            assert_eq!(limit, MemoryLimit(bytes));
            assert_eq!(read(&limit.to_string()), Some(limit), "{limit}");
        }
        for text in ["", "8", "GB", "-1GB", "0MB", "NaNGB", "infGB", "8 TB"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
