//! Output for the terminal: results on standard output, errors on one line.

use std::io::{ErrorKind, Write};

use anyhow::Result;

/// Formats an error and its causes as `error: what: why`, always on one line. Causes that the text already contains are
/// not repeated.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::from("error");
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Prints to standard output. A closed pipe (`tagseg config | head`) is not an error.
pub fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line() {
        let file = tagseg::Error::io("run")(std::io::Error::other("disk full"));
        assert_eq!(one_line(&file.into()), "error: run: disk full; check the path and the disk");
        let error = anyhow::anyhow!("cause\n  of it").context("what\n");
        assert_eq!(one_line(&error), "error: what : cause of it");
    }
}
