//! Names of an encoder's modules in files of other programs, as rows of patterns.

/// The part of a native tensor that a foreign tensor contains, along the first axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    Whole,
    /// The first half of its rows.
    FirstHalf,
    /// The second half.
    SecondHalf,
}

/// The native module, the foreign one, and which part of the native one that is; `{i}` stands for the stage, counted
/// from 1 in native names and from 0 in foreign ones, `{j}` for the block. The leaf (`weight`, `bias`, `running_mean`,
/// …) is the same.
pub type ModuleName = (&'static str, &'static str, Share);

/// How the blocks of native names are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Within their stage, as in foreign names.
    InStage,
    /// Through all stages, while `{j}` of a foreign name counts within stage `{i}`.
    Running,
}

/// The names of an encoder's modules in one layout.
#[derive(Debug)]
pub struct NamesElsewhere {
    /// The name of the layout: `Hugging Face`.
    pub layout: &'static str,
    /// The name of a file with native names without the encoder's prefix.
    pub original: &'static str,
    /// How native blocks are numbered.
    pub numbering: Numbering,
    /// Number of stages: names with a larger `{i}` belong to another network.
    pub stages: usize,
    /// Whether weights are also written with these names; otherwise they are only read.
    pub written: bool,
    /// A row for each module.
    pub modules: &'static [ModuleName],
    /// Modules of the classifier that the encoder was pretrained with, in any layout; they are dropped.
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

/// The name with `pattern` for a stage and block.
pub fn name_at(pattern: &str, place: [usize; 2], first: usize) -> String {
    pattern.replace("{i}", &(place[0] + first).to_string()).replace("{j}", &place[1].to_string())
}
