//! The presets: files with the options that differ from the defaults.

use super::options::Config;
use super::rung::Rung;
use crate::error::{Error, Result};

/// The presets by name; each is a file with the options that differ from the defaults.
const PRESETS: [(&str, &str); 7] = [
    ("photos", include_str!("presets/photos.toml")),
    ("voc", include_str!("presets/voc.toml")),
    ("voc-paper", include_str!("presets/voc-paper.toml")),
    ("voc-script", include_str!("presets/voc-script.toml")),
    ("coco", include_str!("presets/coco.toml")),
    ("coco-literal", include_str!("presets/coco-literal.toml")),
    ("nano", include_str!("presets/nano.toml")),
];

impl Config {
    /// The preset that commands start from.
    pub const DEFAULT_PRESET: &str = PRESETS[0].0;

    /// Names of all presets, the default first.
    pub fn preset_names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The named preset: `photos` (from weights that come with this program), `voc` (method.md 15) and its variants,
    /// `coco`, or `nano` (small, trains from scratch). With `+` and a [`Rung`], e.g. `nano+s2c`, it is restricted to a subset of the method.
    ///
    /// # Errors
    /// [`Error::Config`] with all names if there is no such preset or rung.
    pub fn preset(name: &str) -> Result<Self> {
        let (name, rung) = match name.split_once('+') {
            Some((preset, rung)) => (preset, Some(Rung::find(rung)?)),
            None => (name, None),
        };
        let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
            let names: Vec<_> = Self::preset_names().collect();
            return Err(Error::config(
                "preset",
                format!("there is no preset `{name}`"),
                format!("choose one of {}", names.join(", ")),
            ));
        };
        let mut config = Self::default();
        config.load_toml(text)?;
        rung.map_or(Ok(()), |rung| rung.apply(&mut config))?;
        Ok(config)
    }
}
