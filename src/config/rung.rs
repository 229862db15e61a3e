//! The rungs of the paper's ablation (Table VI): each adds one part of the method to the one before. Besides them,
//! baselines in which another part takes the place of one.

use super::options::Config;
use crate::error::{Error, Result};

/// A part of the method, or a baseline. `preset+rung` names a preset that goes up to it: `voc+s2c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Classification alone.
    Cls,
    /// Y_c, from fixed thresholds, supervises the segmentation branch.
    C2s,
    /// Y_s supervises the classification branch: the branches promote each other.
    S2c,
    /// Y_c comes from background-aware propagation.
    Bsp,
    /// Object-aware decoding.
    Ofd,
    /// The affinity loss: the whole method.
    Aff,
    /// Fixed thresholds in the place of propagation.
    Par,
    /// AFA's random walk in the place of propagation.
    Afa,
    /// True masks in the place of Y_c: what supervision by masks would reach.
    Full,
}

impl Rung {
    /// Every rung: the ladder from below, then the baselines.
    pub const ALL: [Rung; 9] = {
        use Rung::{Afa, Aff, Bsp, C2s, Cls, Full, Ofd, Par, S2c};
        [Cls, C2s, S2c, Bsp, Ofd, Aff, Par, Afa, Full]
    };

    /// The ladder without the baselines.
    pub const LADDER: &[Rung] = Self::ALL.split_at(6).0;

    /// The name behind the `+`.
    pub const fn name(self) -> &'static str {
        match self {
            Rung::Cls => "cls",
            Rung::C2s => "c2s",
            Rung::S2c => "s2c",
            Rung::Bsp => "bsp",
            Rung::Ofd => "ofd",
            Rung::Aff => "aff",
            Rung::Par => "par",
            Rung::Afa => "afa",
            Rung::Full => "full",
        }
    }

    /// What it trains, in one line.
    pub const fn summary(self) -> &'static str {
        match self {
            Rung::Cls => "classification alone",
            Rung::C2s => "cls, and labels from seeds teach the segmentation",
            Rung::S2c => "c2s, and the segmentation teaches the seeds",
            Rung::Bsp => "s2c, with background-aware propagation",
            Rung::Ofd => "bsp, with object-aware decoding",
            Rung::Aff => "ofd, with the affinity loss: the whole method",
            Rung::Par => "the whole method, but fixed thresholds propagate",
            Rung::Afa => "the whole method, but AFA's random walk propagates",
            Rung::Full => "true masks teach the segmentation: an upper bound",
        }
    }

    /// The rung called `name`.
    ///
    /// # Errors
    /// [`Error::Config`] with all names when there is none.
    pub fn find(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|rung| rung.name() == name).ok_or_else(|| {
            let reason = format!("there is no rung `{name}`");
            Error::config("preset", reason, format!("choose one of {}", Self::ALL.map(Rung::name).join(", ")))
        })
    }

    /// Takes out of a configuration of the whole method what is above this rung, or puts the baseline in.
    ///
    /// # Errors
    /// Never: every value is one that its option allows.
    pub fn apply(self, config: &mut Config) -> Result<()> {
        let mut changes: Vec<&str> = match self {
            Rung::Par => vec!["propagation=par"],
            Rung::Afa => vec!["propagation=afa"],
            Rung::Full => {
                vec!["yc.source=masks", "schedule.n_c2s=0", "c2s.kind=ce", "propagation=par", "ofd.mode=off"]
            }
            _ => [(Rung::Bsp, "propagation=par"), (Rung::Ofd, "ofd.mode=off")]
                .into_iter()
                .filter_map(|(part, without)| (self < part).then_some(without))
                .collect(),
        };
        if matches!(self, Rung::Cls | Rung::Full) {
            // Nothing asks for pseudo labels, so nothing needs the passes that make them.
            changes.push("ms.mode=eval");
        }
        changes.into_iter().try_for_each(|change| config.set(change))?;
        if self == Rung::Full {
            config.lambda = [1.0, 0.0, 0.0];
        }
        for (weight, part) in config.lambda.iter_mut().zip([Rung::C2s, Rung::S2c, Rung::Aff]) {
            if self < part {
                *weight = 0.0;
            }
        }
        Ok(())
    }
}
