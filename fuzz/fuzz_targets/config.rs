//! A configuration file, and a line of it as a `--set`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tagseg::config::Config;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A table of TOML takes some hundred bytes of memory for two bytes of input.
    tagseg_fuzz::bounded(data, 1024, || {
        if let Ok(config) = Config::from_toml(text) {
            let written = config.to_toml();
            assert_eq!(Config::from_toml(&written).map(|again| again.to_toml()).ok(), Some(written));
        }
        text.lines().take(4).for_each(|line| _ = Config::default().set(line));
    });
});
