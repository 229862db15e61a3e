//! The rungs of the paper's ablation (Table VI), each of which adds one part of the method to the rung before, and
//! baselines that replace one part.

use super::options::Config;
use crate::error::{Error, Result};

/// A subset of the method, or a baseline. `preset+rung`, e.g. `voc+s2c`, names a preset restricted to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Classification only.
    Cls,
    /// Y_c supervises the segmentation branch; it is made with fixed thresholds.
    C2s,
    /// Y_s supervises the classification branch: the branches supervise each other.
    S2c,
    /// Y_c comes from background-aware propagation.
    Bsp,
    /// Object-aware decoding.
    Ofd,
    /// The affinity loss: the whole method.
    Aff,
    /// Fixed thresholds instead of propagation.
    Par,
    /// AFA's random walk instead of propagation.
    Afa,
    /// True masks instead of Y_c: full supervision, an upper bound.
    Full,
}

impl Rung {
    /// Every rung: the ladder from bottom to top, then the baselines.
    pub const ALL: [Rung; 9] = {
        use Rung::{Afa, Aff, Bsp, C2s, Cls, Full, Ofd, Par, S2c};
        [Cls, C2s, S2c, Bsp, Ofd, Aff, Par, Afa, Full]
    };

    /// The ladder without the baselines.
    pub const LADDER: &[Rung] = Self::ALL.split_at(6).0;

    /// The rungs of the ladder that are not the same as the one before, for a configuration of the whole method: without
    /// an affinity loss, for example, the last two are.
    ///
    /// # Errors
    /// As [`Rung::apply`].
    pub fn ladder_of(config: &Config) -> Result<Vec<Rung>> {
        let mut distinct: Vec<(Rung, Config)> = Vec::new();
        for &rung in Self::LADDER {
            let mut restricted = config.clone();
            rung.apply(&mut restricted)?;
            if distinct.last().is_none_or(|(_, last)| *last != restricted) {
                distinct.push((rung, restricted));
            }
        }
        Ok(distinct.into_iter().map(|(rung, _)| rung).collect())
    }

    /// The name after the `+`.
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

    /// A one-line description.
    pub const fn summary(self) -> &'static str {
        match self {
            Rung::Cls => "classification only",
            Rung::C2s => "cls, and pseudo labels from seeds supervise the segmentation",
            Rung::S2c => "c2s, and the segmentation supervises the seeds",
            Rung::Bsp => "s2c, with background-aware propagation",
            Rung::Ofd => "bsp, with object-aware decoding",
            Rung::Aff => "ofd, with the affinity loss: the whole method",
            Rung::Par => "the whole method, with fixed thresholds instead of propagation",
            Rung::Afa => "the whole method, with AFA's random walk as propagation",
            Rung::Full => "true masks supervise the segmentation: an upper bound",
        }
    }

    /// The rung called `name`.
    ///
    /// # Errors
    /// [`Error::Config`] with all names if there is none.
    pub fn find(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|rung| rung.name() == name).ok_or_else(|| {
            let reason = format!("there is no rung `{name}`");
            Error::config("preset", reason, format!("choose one of {}", Self::ALL.map(Rung::name).join(", ")))
        })
    }

    /// Restricts a configuration of the whole method to this rung, or changes it to the baseline.
    ///
    /// # Errors
    /// Never, as every value is allowed for its option.
    pub fn apply(self, config: &mut Config) -> Result<()> {
        let mut changes: Vec<&str> = match self {
            Rung::Par => vec!["propagation=par"],
            Rung::Afa => vec!["method.name=afa"],
            Rung::Full => {
                vec!["method.name=segformer", "schedule.n_c2s=0", "c2s.kind=ce", "propagation=par", "ofd.mode=off"]
            }
            _ => [(Rung::Bsp, "propagation=par"), (Rung::Ofd, "ofd.mode=off")]
                .into_iter()
                .filter_map(|(part, without)| (self < part).then_some(without))
                .collect(),
        };
        if matches!(self, Rung::Cls | Rung::Full) {
            // These rungs use no pseudo labels: evaluation mode makes the passes that produce them unnecessary.
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
