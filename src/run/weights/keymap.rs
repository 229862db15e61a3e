//! Names of parameters in the layouts that people hold weights in, brought to ours and back (spec 10).
//!
//! Our names are those of the official release without the `module.` in front. The Hugging Face scheme counts stages
//! from 0, has other words for most layers, and splits `kv` into a key half and a value half. Its models have
//! other names again in memory today (`transformers` 5.23), which `torch.save(model.state_dict())` writes, while
//! `save_pretrained` writes those of the scheme.

use std::collections::HashMap;
use std::fmt;

use super::training::is_training_state;
use crate::formats::element::Values;
use crate::formats::fault::{Checked, Fault, quoted};
use crate::formats::tensor_file::{Dropped, NamedTensor};

/// A layout to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// That of the official release: `module.` in front of every name; an encoder alone as in `mit_b1.pth`, flat.
    Official,
    /// That of Hugging Face: `segformer.encoder.` and `decode_head.`.
    HuggingFace,
    /// Ours.
    Tagseg,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::Official, Self::HuggingFace, Self::Tagseg];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::HuggingFace => "huggingface",
            Self::Tagseg => "tagseg",
        }
    }
}

/// The layout a file was found to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `patch_embed1.proj.weight`: an encoder as the authors of SegFormer released it.
    OriginalMit,
    /// `module.encoder.patch_embed1.proj.weight`: a checkpoint of the official release.
    BmpCheckpoint,
    /// `segformer.encoder.patch_embeddings.0.proj.weight`.
    HuggingFace,
    /// `encoder.patch_embed1.proj.weight`: ours.
    Tagseg,
    /// None of them.
    Unknown,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OriginalMit => "original MiT encoder",
            Self::BmpCheckpoint => "BMP checkpoint (module.)",
            Self::HuggingFace => "Hugging Face",
            Self::Tagseg => "tagseg",
            Self::Unknown => "unknown",
        })
    }
}

/// The part of one of our tensors that a foreign tensor holds, along the first axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    FirstHalf,
    SecondHalf,
}
use Part::{FirstHalf, SecondHalf, Whole};

/// Our module, that of Hugging Face, and how much of it; `{i}` is the stage, from 1 with us and from 0 there, `{j}` the
/// block. The leaf (`weight`, `bias`, `running_mean`, …) is the same. A module without a counterpart keeps its name.
const MODULES: [(&str, &str, Part); 19] = [
    ("encoder.patch_embed{i}.proj", "segformer.encoder.patch_embeddings.{i}.proj", Whole),
    ("encoder.patch_embed{i}.norm", "segformer.encoder.patch_embeddings.{i}.layer_norm", Whole),
    ("encoder.block{i}.{j}.norm1", "segformer.encoder.block.{i}.{j}.layer_norm_1", Whole),
    ("encoder.block{i}.{j}.attn.q", "segformer.encoder.block.{i}.{j}.attention.self.query", Whole),
    ("encoder.block{i}.{j}.attn.kv", "segformer.encoder.block.{i}.{j}.attention.self.key", FirstHalf),
    ("encoder.block{i}.{j}.attn.kv", "segformer.encoder.block.{i}.{j}.attention.self.value", SecondHalf),
    ("encoder.block{i}.{j}.attn.proj", "segformer.encoder.block.{i}.{j}.attention.output.dense", Whole),
    ("encoder.block{i}.{j}.attn.sr", "segformer.encoder.block.{i}.{j}.attention.self.sr", Whole),
    ("encoder.block{i}.{j}.attn.norm", "segformer.encoder.block.{i}.{j}.attention.self.layer_norm", Whole),
    ("encoder.block{i}.{j}.norm2", "segformer.encoder.block.{i}.{j}.layer_norm_2", Whole),
    ("encoder.block{i}.{j}.mlp.fc1", "segformer.encoder.block.{i}.{j}.mlp.dense1", Whole),
    ("encoder.block{i}.{j}.mlp.dwconv.dwconv", "segformer.encoder.block.{i}.{j}.mlp.dwconv.dwconv", Whole),
    ("encoder.block{i}.{j}.mlp.fc2", "segformer.encoder.block.{i}.{j}.mlp.dense2", Whole),
    ("encoder.norm{i}", "segformer.encoder.layer_norm.{i}", Whole),
    ("decoder.linear_c{i}.proj", "decode_head.linear_c.{i}.proj", Whole),
    ("decoder.linear_fuse.conv", "decode_head.linear_fuse", Whole),
    ("decoder.linear_fuse.bn", "decode_head.batch_norm", Whole),
    ("decoder.linear_pred", "decode_head.classifier", Whole),
    ("attn_proj", "attn_proj", Whole),
];

/// As [`MODULES`], by the names that Hugging Face's models have in memory, where these are others.
const MODULES_IN_MEMORY: [(&str, &str, Part); 15] = [
    ("encoder.patch_embed{i}.proj", "segformer.stages.{i}.patch_embeddings.proj", Whole),
    ("encoder.patch_embed{i}.norm", "segformer.stages.{i}.patch_embeddings.layer_norm", Whole),
    ("encoder.block{i}.{j}.norm1", "segformer.stages.{i}.blocks.{j}.layernorm_before", Whole),
    ("encoder.block{i}.{j}.attn.q", "segformer.stages.{i}.blocks.{j}.attention.q_proj", Whole),
    ("encoder.block{i}.{j}.attn.kv", "segformer.stages.{i}.blocks.{j}.attention.k_proj", FirstHalf),
    ("encoder.block{i}.{j}.attn.kv", "segformer.stages.{i}.blocks.{j}.attention.v_proj", SecondHalf),
    ("encoder.block{i}.{j}.attn.proj", "segformer.stages.{i}.blocks.{j}.attention.o_proj", Whole),
    (
        "encoder.block{i}.{j}.attn.sr",
        "segformer.stages.{i}.blocks.{j}.attention.sequence_reduction.sequence_reduction",
        Whole,
    ),
    (
        "encoder.block{i}.{j}.attn.norm",
        "segformer.stages.{i}.blocks.{j}.attention.sequence_reduction.layer_norm",
        Whole,
    ),
    ("encoder.block{i}.{j}.norm2", "segformer.stages.{i}.blocks.{j}.layernorm_after", Whole),
    ("encoder.block{i}.{j}.mlp.fc1", "segformer.stages.{i}.blocks.{j}.mlp.fc1", Whole),
    ("encoder.block{i}.{j}.mlp.dwconv.dwconv", "segformer.stages.{i}.blocks.{j}.mlp.dwconv.dwconv", Whole),
    ("encoder.block{i}.{j}.mlp.fc2", "segformer.stages.{i}.blocks.{j}.mlp.fc2", Whole),
    ("encoder.norm{i}", "segformer.stages.{i}.layer_norm", Whole),
    ("decoder.linear_c{i}.proj", "decode_head.linear_projections.{i}.proj", Whole),
];

/// Our image classifier. It is no row above, since Hugging Face calls its own, which we drop, by the same name.
const CLASSIFIER: &str = "classifier.weight";

/// A file's tensors under our names.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The layout they were in.
    pub scheme: Scheme,
    /// Tensors; those that the key map does not know keep their names.
    pub tensors: Vec<NamedTensor>,
    /// Tensors that no network of ours has.
    pub dropped: Vec<Dropped>,
}

impl Mapped {
    /// Names that the key map does not know.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().map(|tensor| tensor.name.as_str()).filter(|name| !is_ours(name))
    }

    /// Whether there is nothing but an encoder.
    pub fn is_encoder_only(&self) -> bool {
        !self.tensors.is_empty() && self.tensors.iter().all(|tensor| tensor.name.starts_with(ENCODER))
    }
}

/// What stands in front of every name of the encoder.
pub const ENCODER: &str = "encoder.";

/// Brings tensors of any layout to our names.
///
/// # Errors
/// If two tensors get the same name.
pub fn to_tagseg(tensors: Vec<NamedTensor>) -> Checked<Mapped> {
    let mut mapped = Mapped { scheme: Scheme::Unknown, tensors: Vec::new(), dropped: Vec::new() };
    let (states, tensors): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|tensor| is_training_state(&tensor.name));
    if let Some(first) = states.first() {
        let name = format!("{} tensors like {}", states.len(), first.name);
        mapped.dropped.push(Dropped { name, reason: "only training has them".into() });
    }
    let mut halves: HashMap<(String, bool), NamedTensor> = HashMap::new();
    for mut tensor in tensors {
        let bare = tensor.name.strip_prefix("module.").unwrap_or(&tensor.name);
        if is_imagenet_head(bare, &tensor.shape) {
            mapped.dropped.push(Dropped { name: tensor.name, reason: "belongs to the ImageNet classifier".into() });
            continue;
        }
        let Some((name, part, scheme)) = our_name(bare) else {
            mapped.tensors.push(tensor);
            continue;
        };
        let prefixed = scheme == Scheme::Tagseg && bare.len() < tensor.name.len();
        mapped.scheme = mapped.scheme.or(if prefixed { Scheme::BmpCheckpoint } else { scheme });
        if part == Whole {
            tensor.name = name;
            mapped.tensors.push(tensor);
            continue;
        }
        match halves.remove(&(name.clone(), part == FirstHalf)) {
            Some(other) if part == FirstHalf => mapped.tensors.push(join(name, tensor, other)?),
            Some(other) => mapped.tensors.push(join(name, other, tensor)?),
            // It waits for the other half, under the other half's key.
            None => {
                if let Some(twin) = halves.insert((name, part != FirstHalf), tensor) {
                    return Err(Fault::damaged(format!("{} stands there twice", quoted(&twin.name))));
                }
            }
        }
    }
    // Halves without the other stay what they are: unknown.
    let mut alone: Vec<_> = halves.into_values().collect();
    alone.sort_by(|a, b| a.name.cmp(&b.name));
    mapped.tensors.extend(alone);

    let mut names: Vec<_> = mapped.tensors.iter().map(|tensor| &tensor.name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::damaged(format!("two tensors stand for {}", quoted(pair[0])))),
        None => Ok(mapped),
    }
}

/// Brings tensors with our names to `layout`. Names that the key map does not know stay.
///
/// # Errors
/// If keys and values cannot be split.
pub fn from_tagseg(tensors: Vec<NamedTensor>, layout: Layout) -> Checked<Vec<NamedTensor>> {
    let encoder_only = tensors.iter().all(|tensor| tensor.name.starts_with(ENCODER));
    let mut mapped = Vec::new();
    for tensor in tensors {
        match layout {
            Layout::Tagseg => mapped.push(tensor),
            Layout::Official => {
                let name = match tensor.name.strip_prefix(ENCODER) {
                    Some(flat) if encoder_only => flat.to_owned(),
                    _ => format!("module.{}", tensor.name),
                };
                mapped.push(NamedTensor { name, ..tensor });
            }
            Layout::HuggingFace => match &foreign_names(&tensor.name)[..] {
                [] => mapped.push(tensor),
                [name] => mapped.push(NamedTensor { name: name.clone(), ..tensor }),
                [first, second, ..] => mapped.extend(split(&tensor, [first, second])?),
            },
        }
    }
    Ok(mapped)
}

/// Whether a name is one of ours, of whatever network.
fn is_ours(name: &str) -> bool {
    name == CLASSIFIER
        || name
            .rsplit_once('.')
            .is_some_and(|(module, _)| MODULES.iter().any(|row| matches(row.0, module, 1).is_some()))
}

/// The 1000-way head of ImageNet, `head` with the original and `classifier` with Hugging Face. Ours is a convolution.
fn is_imagenet_head(name: &str, shape: &[usize]) -> bool {
    matches!(name, "head.weight" | "head.bias" | "classifier.bias") || name == CLASSIFIER && shape.len() == 2
}

/// Our name of a foreign tensor, and how much of ours it holds. The encoder's prefix may be missing.
fn our_name(name: &str) -> Option<(String, Part, Scheme)> {
    if name == CLASSIFIER {
        return Some((name.to_owned(), Whole, Scheme::Unknown));
    }
    let (module, leaf) = name.rsplit_once('.')?;
    for prefix in ["", ENCODER] {
        let module = format!("{prefix}{module}");
        if MODULES.iter().any(|row| matches(row.0, &module, 1).is_some()) {
            let scheme = if prefix.is_empty() { Scheme::Tagseg } else { Scheme::OriginalMit };
            return Some((format!("{module}.{leaf}"), Whole, scheme));
        }
    }
    for prefix in ["", "segformer.", "segformer.encoder."] {
        let module = format!("{prefix}{module}");
        for &(ours, theirs, part) in MODULES.iter().chain(&MODULES_IN_MEMORY) {
            if let Some(place) = matches(theirs, &module, 0) {
                return Some((format!("{}.{leaf}", fill(ours, place, 1)), part, Scheme::HuggingFace));
            }
        }
    }
    None
}

/// Hugging Face's names for a tensor of ours: none, one, or those of the two halves.
fn foreign_names(name: &str) -> Vec<String> {
    let Some((module, leaf)) = name.rsplit_once('.') else { return Vec::new() };
    let rows = MODULES.iter().filter_map(|row| Some((row.1, matches(row.0, module, 1)?)));
    rows.map(|(theirs, place)| format!("{}.{leaf}", fill(theirs, place, 0))).collect()
}

/// Stage, from 0, and block of a name that follows `pattern`, whose stages count from `first`.
fn matches(pattern: &str, name: &str, first: usize) -> Option<[usize; 2]> {
    let (mut pattern, mut name, mut place) = (pattern, name, [0, 0]);
    while let Some((literal, rest)) = pattern.split_once('{') {
        name = name.strip_prefix(literal)?;
        let (digits, behind) = name.split_at(name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len()));
        // `01` would be the same block as `1` under another name.
        let number: usize = digits.parse().ok().filter(|number: &usize| number.to_string() == digits)?;
        match rest.split_once('}')? {
            ("i", behind) => (place[0], pattern) = (number.checked_sub(first).filter(|stage| *stage < 4)?, behind),
            (_, behind) => (place[1], pattern) = (number, behind),
        }
        name = behind;
    }
    (pattern == name).then_some(place)
}

/// The name that follows `pattern` at a place.
fn fill(pattern: &str, place: [usize; 2], first: usize) -> String {
    pattern.replace("{i}", &(place[0] + first).to_string()).replace("{j}", &place[1].to_string())
}

/// One tensor of the rows of two.
fn join(name: String, first: NamedTensor, second: NamedTensor) -> Checked<NamedTensor> {
    let misfit = || Fault::damaged(format!("{} and {} do not fit", quoted(&first.name), quoted(&second.name)));
    let mut shape = first.shape.clone();
    let rows = shape.first_mut().filter(|_| first.shape == second.shape).ok_or_else(misfit)?;
    *rows *= 2;
    let values = match (&first.values, &second.values) {
        (Values::Reals(first), Values::Reals(second)) => Values::Reals([&first[..], &second[..]].concat()),
        _ => return Err(misfit()),
    };
    Ok(NamedTensor { name, shape, element: first.element, values })
}

/// Two tensors of half the rows each.
fn split(tensor: &NamedTensor, names: [&String; 2]) -> Checked<[NamedTensor; 2]> {
    let mut shape = tensor.shape.clone();
    let (Some(rows), Values::Reals(values)) = (shape.first_mut().filter(|rows| **rows % 2 == 0), &tensor.values) else {
        return Err(Fault::damaged(format!("{} does not hold keys and values", quoted(&tensor.name))));
    };
    *rows /= 2;
    let (first, second) = values.split_at(values.len() / 2);
    let part = |name: &String, values: &[f32]| NamedTensor {
        name: name.clone(),
        shape: shape.clone(),
        element: tensor.element,
        values: Values::Reals(values.to_vec()),
    };
    Ok([part(names[0], first), part(names[1], second)])
}

impl Scheme {
    /// The more telling of two findings: a name that fits one layout alone outweighs one that fits several.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown | Self::Tagseg, _) if other != Self::Unknown => other,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        let ours = "encoder.block3.17.attn.q.weight";
        let theirs = "segformer.encoder.block.2.17.attention.self.query.weight";
        assert_eq!(foreign_names(ours), [theirs]);
        for name in [theirs, &theirs["segformer.".len()..], ours, &ours["encoder.".len()..]] {
            assert_eq!(our_name(name).unwrap().0, ours, "{name}");
        }
        let halves = foreign_names("encoder.block1.0.attn.kv.bias");
        assert_eq!(
            halves,
            [0, 1].map(|half| format!("segformer.encoder.block.0.0.attention.self.{}.bias", ["key", "value"][half]))
        );
        assert_eq!(our_name(&halves[1]).unwrap().1, SecondHalf);
    }

    #[test]
    fn names_of_other_networks_are_unknown() {
        for name in ["encoder.block5.0.norm1.weight", "encoder.block0.0.norm1.weight", "encoder.block1.00.norm1.weight"]
        {
            assert!(our_name(name).is_none() && !is_ours(name), "{name}");
        }
        assert!(our_name("layer1.0.conv1.weight").is_none() && our_name("weight").is_none());
    }
}
