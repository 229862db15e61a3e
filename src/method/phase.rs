//! Which parts of a method are active in a step.

use std::collections::BTreeSet;

/// The parts of a method that are active in a step, by name. Steps with equal phases share a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phase(BTreeSet<&'static str>);

impl Phase {
    /// Whether a part is active.
    pub fn has(&self, part: &str) -> bool {
        self.0.contains(part)
    }
}

impl FromIterator<&'static str> for Phase {
    fn from_iter<I: IntoIterator<Item = &'static str>>(parts: I) -> Self {
        Phase(parts.into_iter().collect())
    }
}
