//! What the compilers may make of each kernel: the table of `allowed.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::driver::Statistics;
use super::machine_code::{InnerLoop, inner_loop};

/// What a compiler makes of a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Subgroups that a unit of the card holds at once: with more of them it waits less for memory.
    pub waves: u64,
    /// Bytes that a subgroup keeps in memory, since they are no registers.
    pub scratch: u64,
    /// Registers that are moved elsewhere for a while, of invocations and of whole subgroups.
    pub spills: u64,
    /// Registers of an invocation. Not in the table, since waves follow from them.
    pub registers: u64,
    /// Its innermost loop or unrolled one, if it has one and the machine code is at hand. Not in the table either.
    pub inner_loop: Option<InnerLoop>,
}

/// A kernel of which the table has no row: no scratch, no spills, and half of the waves of Mesa's smallest card.
const UNLISTED: Figures = Figures { waves: 5, scratch: 0, spills: 0, registers: 0, inner_loop: None };

impl Figures {
    /// From a driver's statistics, by the names that each driver of Mesa has for them, and from machine code, if there is.
    pub fn of(statistics: &Statistics, code: &str) -> Self {
        let values = |wanted: &[&str]| -> Vec<u64> {
            statistics.iter().filter(|(name, _)| wanted.contains(&name.as_str())).map(|(_, value)| *value).collect()
        };
        let value = |wanted: &[&str]| match values(wanted)[..] {
            [value] => value,
            _ => panic!("the driver tells not one of {wanted:?}: {statistics:?}"),
        };
        Figures {
            waves: value(&[
                "Subgroups per SIMD",
                "Max warps/SM",
                "Threads",
                "Max Waves Per Core",
                "Max dispatch width",
            ]),
            scratch: values(&["Scratch size", "SLM size", "Scratch", "Scratch Memory Size"]).iter().sum(),
            spills: values(&["Spilled SGPRs", "Spilled VGPRs", "Spills to memory", "Spills", "STP Count"]).iter().sum(),
            registers: value(&["VGPRs", "Number of GPRs", "GPRs", "Registers used", "Max live registers"]),
            inner_loop: inner_loop(code),
        }
    }

    /// Whether it keeps in memory what did not fit into registers.
    pub fn is_in_memory(&self) -> bool {
        self.scratch + self.spills > 0
    }

    /// The worse of each of two kernels; the loop is that of the first.
    pub fn worst(self, other: Self) -> Self {
        Figures {
            waves: self.waves.min(other.waves),
            scratch: self.scratch.max(other.scratch),
            spills: self.spills.max(other.spills),
            registers: self.registers.max(other.registers),
            inner_loop: self.inner_loop,
        }
    }

    /// Whether something is worse than in `other`.
    fn is_worse(self, other: Self) -> bool {
        self.waves < other.waves || self.scratch > other.scratch || self.spills > other.spills
    }
}

/// As in the table: `8`, or `8, scratch 512, spills 3`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.waves)?;
        [("scratch", self.scratch), ("spills", self.spills)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(name, count)| write!(f, ", {name} {count}"))
    }
}

/// By kernel and card.
pub type Table = BTreeMap<String, BTreeMap<String, Figures>>;

/// The table of a Markdown text whose first row names the cards.
pub fn parse(text: &str) -> Table {
    let mut rows = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).map(|line| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        cells
    });
    let head = rows.next().expect("a table");
    let figures = |cell: &str| {
        let mut own = Figures { waves: 0, scratch: 0, spills: 0, registers: 0, inner_loop: None };
        for part in cell.split(", ") {
            let (name, number) = part.split_once(' ').unwrap_or(("waves", part));
            let number = number.parse().unwrap_or_else(|_| panic!("`{cell}` in the table"));
            match name {
                "waves" => own.waves = number,
                "scratch" => own.scratch = number,
                "spills" => own.spills = number,
                _ => panic!("`{cell}` in the table"),
            }
        }
        own
    };
    rows.skip(1)
        .map(|cells| {
            let own = head[1..].iter().zip(&cells[1..]).map(|(card, cell)| (card.clone(), figures(cell)));
            (cells[0].clone(), own.collect())
        })
        .collect()
}

/// The rows of such a table.
pub fn written(table: &Table, cards: &[&str]) -> String {
    let row = |first: &str, cells: Vec<String>| format!("| {first} | {} |\n", cells.join(" | "));
    let mut text = row("kernel", cards.iter().map(|card| (*card).to_owned()).collect());
    text += &row("---", cards.iter().map(|_| "---".to_owned()).collect());
    for (kernel, own) in table {
        let cell = |card: &&str| own.get(*card).map_or_else(|| "0".to_owned(), Figures::to_string);
        text += &row(kernel, cards.iter().map(cell).collect());
    }
    text
}

/// What differs between the compilers and the table: what fails, and what the table should be told.
#[derive(Default)]
pub struct Differences {
    /// Kernels that are worse than allowed.
    pub worse: Vec<String>,
    /// Kernels that are better, new, or gone.
    pub other: Vec<String>,
}

/// Compares what compilers say, `found`, with the table.
pub fn compare(found: &Table, allowed: &Table) -> Differences {
    let mut differences = Differences::default();
    for (kernel, cards) in found {
        let row = allowed.get(kernel);
        if row.is_none() {
            differences.other.push(format!("{kernel}: not in the table"));
        }
        for (card, &own) in cards {
            let limit = row.and_then(|row| row.get(card)).copied().unwrap_or(UNLISTED);
            if own.is_worse(limit) {
                differences.worse.push(format!("{kernel} on {card}: {own} waves; allowed: {limit}"));
            } else if row.is_some() && limit.is_worse(own) {
                differences.other.push(format!("{kernel} on {card}: {own} waves, better than the table's {limit}"));
            }
        }
    }
    let names: BTreeSet<_> = found.keys().collect();
    let gone = allowed.keys().filter(|kernel| !names.contains(kernel));
    differences.other.extend(gone.map(|kernel| format!("{kernel}: no longer in a step")));
    differences
}

/// Protects: the check itself. Each of the three figures can fail, and what is better is said.
#[test]
fn worse_kernels_are_found() {
    let text = "Words.\n\n| kernel | a | b |\n| --- | --- | --- |\n| x | 8 | 4, scratch 64, spills 2 |\n";
    let allowed = parse(text);
    assert!(text.ends_with(&written(&allowed, &["a", "b"])));
    let found = |kernel: &str, waves, scratch, spills| {
        let own = Figures { waves, scratch, spills, registers: 9, inner_loop: None };
        compare(&Table::from([(kernel.to_owned(), BTreeMap::from([("b".to_owned(), own)]))]), &allowed)
    };
    let same = found("x", 4, 64, 2);
    assert!(same.worse.is_empty() && same.other.is_empty());
    assert_eq!(found("x", 3, 64, 2).worse.len(), 1);
    assert_eq!(found("x", 4, 68, 2).worse, ["x on b: 4, scratch 68, spills 2 waves; allowed: 4, scratch 64, spills 2"]);
    assert_eq!(found("x", 4, 64, 3).worse.len(), 1);
    assert_eq!(found("x", 5, 64, 0).other.len(), 1);
    assert_eq!(found("new", 5, 0, 0).other.len(), 2, "one is new, one is gone");
    assert_eq!(found("new", 8, 4, 0).worse.len(), 1);
}
