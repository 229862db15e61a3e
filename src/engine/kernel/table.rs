//! Tables of kernel choices: the built-in one, and those that `tagseg tune` proposes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::choices::Kernels;
use super::target::{Class, Target};

/// Sections of the built-in table for graphics cards by name; RADV is a driver for AMD's, NVK one for NVIDIA's.
const MAKERS: [(&str, Kernels); 5] = [
    ("amd", Kernels::AMD),
    ("radeon", Kernels::AMD),
    ("radv", Kernels::AMD),
    ("nvidia", Kernels::NVIDIA),
    ("nvk", Kernels::NVIDIA),
];

/// Sections of kernel choices by name: `software` and `graphics` are for the two classes of devices, any other for
/// adapters whose name contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelTable(BTreeMap<String, Kernels>);

impl KernelTable {
    /// A table of one section.
    pub fn of(section: &str, kernels: Kernels) -> Self {
        KernelTable(BTreeMap::from([(section.to_owned(), kernels)]))
    }

    /// The section for an adapter with its name: that with the longest name contained in the adapter's, else that of
    /// its class, if there is one.
    pub fn find(&self, adapter: &str, class: Class) -> Option<(&str, Kernels)> {
        nearest(self.0.iter().map(|(name, kernels)| (name.as_str(), *kernels)), adapter, class)
    }

    /// The section for an adapter in the table `own`, else in the built-in one, which knows graphics cards by name.
    pub fn choose<'a>(own: Option<&'a KernelTable>, adapter: &str, class: Class) -> (&'a str, Kernels) {
        let known = || (class == Class::Gpu).then(|| nearest(MAKERS.into_iter(), adapter, class)).flatten();
        own.and_then(|table| table.find(adapter, class)).or_else(known).unwrap_or((name(class), shipped(class)))
    }

    /// Whether it has no section.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// See [`KernelTable::find`]. The name of a class is not that of an adapter, even if it is part of it.
fn nearest<'a>(
    sections: impl Iterator<Item = (&'a str, Kernels)> + Clone,
    adapter: &str,
    class: Class,
) -> Option<(&'a str, Kernels)> {
    let adapter = adapter.to_lowercase();
    let is_class = |section: &str| [Class::Cpu, Class::Gpu].map(name).contains(&section);
    let named = sections.clone().filter(|(name, _)| !is_class(name) && adapter.contains(&name.to_lowercase()));
    named.max_by_key(|(name, _)| name.len()).or_else(|| sections.clone().find(|(section, _)| *section == name(class)))
}

/// The name of a class in a table.
fn name(class: Class) -> &'static str {
    match class {
        Class::Cpu => "software",
        Class::Gpu => "graphics",
    }
}

/// The section of the built-in table for a class of devices.
fn shipped(class: Class) -> Kernels {
    match class {
        Class::Cpu => Kernels::SOFTWARE,
        Class::Gpu => Kernels::GRAPHICS,
    }
}

/// The choices of the built-in table for a class of devices.
impl From<Class> for Target {
    fn from(class: Class) -> Self {
        shipped(class).into()
    }
}

impl Target {
    /// The choices of the built-in table for software devices.
    pub fn software() -> Self {
        Class::Cpu.into()
    }

    /// The choices of the built-in table for graphics cards.
    pub fn graphics() -> Self {
        Class::Gpu.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::choices::Registers;
    use super::*;

    /// Protects: the matching section with the longest name precedes that of the class, a user's table precedes
    /// the built-in one, and a table without a matching section changes nothing.
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
        // Contains the longer name of the class, which is no name of an adapter.
        assert_eq!(chosen("NVIDIA Tegra Graphics", Class::Gpu), ("nvidia", busy("1")));
        assert_eq!(chosen("llvmpipe", Class::Cpu), ("software", kernels));
    }

    /// Protects: cards whose compilers have room for unrolled loops get them, by the names that drivers give them, and no
    /// other device does.
    #[test]
    fn makers_have_sections() {
        for (adapter, section, registers) in [
            ("AMD Radeon RX 6800 XT (RADV NAVI21)", "radeon", Registers::Many),
            ("AMD Custom GPU 0405", "amd", Registers::Many),
            ("Null hardware (RADV NAVI21)", "radv", Registers::Many),
            ("NVIDIA GeForce RTX 4060", "nvidia", Registers::Medium),
            ("Intel(R) Arc(tm) A770 Graphics (DG2)", "graphics", Registers::Few),
            ("Apple M1", "graphics", Registers::Few),
        ] {
            let (name, kernels) = KernelTable::choose(None, adapter, Class::Gpu);
            assert_eq!((name, kernels.registers), (section, registers), "{adapter}");
        }
        assert_eq!(KernelTable::choose(None, "AMD EPYC", Class::Cpu).0, "software");
    }
}
