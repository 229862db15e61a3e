//! Which encoder a set of tensors belongs to, read off their names and shapes.

use std::fmt;

use super::keymap::ENCODER;
use crate::config::Backbone;

/// What distinguishes encoders in a file: heads leave no trace there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anatomy {
    /// Channels of the four stages.
    pub dims: [usize; 4],
    /// Blocks of the four stages.
    pub depths: [usize; 4],
}

impl Anatomy {
    /// The anatomy behind tensors with our names; None without the four patch embeddings.
    pub fn of<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Option<Self> {
        let mut anatomy = Anatomy { dims: [0; 4], depths: [0; 4] };
        for (name, shape) in tensors {
            for stage in 0..4 {
                let part = |kind: &str| name.strip_prefix(ENCODER)?.strip_prefix(&format!("{kind}{}.", stage + 1));
                if part("patch_embed") == Some("proj.weight") {
                    anatomy.dims[stage] = shape.first().copied().unwrap_or(0);
                }
                let block = part("block").and_then(|rest| rest.strip_suffix(".norm1.weight"));
                if let Some(block) = block.and_then(|block| block.parse::<usize>().ok()) {
                    anatomy.depths[stage] = anatomy.depths[stage].max(block.saturating_add(1));
                }
            }
        }
        (!anatomy.dims.contains(&0)).then_some(anatomy)
    }

    /// The encoder of this anatomy, if it is one that we know by name.
    pub fn backbone(&self) -> Option<Backbone> {
        let same = |known: &&Backbone| known.sizes().dims == self.dims && known.sizes().depths == self.depths;
        Backbone::ALL.iter().find(same).copied()
    }
}

impl fmt::Display for Anatomy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.backbone() {
            Some(backbone) => backbone.fmt(f),
            None => write!(f, "MiT of dims {:?} and depths {:?}", self.dims, self.depths),
        }
    }
}
