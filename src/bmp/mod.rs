//! The method: a network of two branches that supervise each other (spec 2 to 7).

mod decoder;
mod division;
mod encoder;
pub mod iteration;
mod labels;
mod losses;
mod network;
mod parts;
mod propagation;
mod schedule;
mod seeds;
mod walk;

pub use decoder::Decoder;
pub use encoder::{Encoder, Features, PatchEmbed};
pub use iteration::Iteration;
pub use labels::{
    Confidence, affinity_label, banded_seed_label, inside_box, label_from_map, only_tagged, radius_mask, seed_label,
    segmentation_label,
};
pub use losses::{Losses, affinity_loss, c2s_loss, classification_loss, s2c_loss};
pub use network::{Form, Network, NetworkConfig, Outputs, affinity_of_scores, see_objects};
pub use propagation::{
    FixedThreshold, Par, PictureBox, Slots, best_class, fixed_threshold_label, propagate_with_background, refined_seeds,
};
pub use schedule::{Group, Phase, Schedule, group_of};
pub use seeds::{MultiScale, Pass, multi_scale, normalise_map, picture, test_scales};
pub use walk::{Walk, WalkedLabel, walked_label};
