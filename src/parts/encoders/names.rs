//! Names of an encoder's modules in the files of others, as rows of patterns.

/// The share of one of our tensors that a foreign tensor holds, along the first axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    Whole,
    /// The first half of its rows.
    FirstHalf,
    /// The second half.
    SecondHalf,
}

/// Our module, the foreign one, and how much of ours that is; `{i}` stands for the stage, counted from 1 by us and from
/// 0 elsewhere, `{j}` for the block. The leaf (`weight`, `bias`, `running_mean`, …) is the same.
pub type ModuleName = (&'static str, &'static str, Share);

/// What numbers our blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// The place in the stage, as elsewhere.
    InStage,
    /// The place among the blocks of all stages, while `{j}` is elsewhere the place in stage `{i}`.
    Running,
}

/// The names of an encoder's modules in one layout.
#[derive(Debug)]
pub struct NamesElsewhere {
    /// The layout, as people know it: `Hugging Face`.
    pub layout: &'static str,
    /// What to call a file with our names without the encoder's prefix.
    pub original: &'static str,
    /// How our blocks are numbered.
    pub numbering: Numbering,
    /// Stages: a larger number in the place of `{i}` is of another network.
    pub stages: usize,
    /// Whether weights are also written by these names; others are only read.
    pub written: bool,
    /// A row for each module.
    pub modules: &'static [ModuleName],
    /// Modules of the classifier that it was trained with, which we leave out, in any layout.
    pub classifier: &'static [&'static str],
}

/// Stage, from 0, and block of a name that follows `pattern`, whose stages count from `first`, if it has no more than
/// `stages` of them.
pub fn place_of(pattern: &str, name: &str, first: usize, stages: usize) -> Option<[usize; 2]> {
    let (mut pattern, mut name, mut place) = (pattern, name, [0, 0]);
    while let Some((literal, rest)) = pattern.split_once('{') {
        name = name.strip_prefix(literal)?;
        let (digits, behind) = name.split_at(name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len()));
        // `01` would be the same block as `1` under another name.
        let number: usize = digits.parse().ok().filter(|number: &usize| number.to_string() == digits)?;
        match rest.split_once('}')? {
            ("i", behind) => (place[0], pattern) = (number.checked_sub(first).filter(|stage| *stage < stages)?, behind),
            (_, behind) => (place[1], pattern) = (number, behind),
        }
        name = behind;
    }
    (pattern == name).then_some(place)
}

/// The name that follows `pattern` at a place.
pub fn name_at(pattern: &str, place: [usize; 2], first: usize) -> String {
    pattern.replace("{i}", &(place[0] + first).to_string()).replace("{j}", &place[1].to_string())
}
