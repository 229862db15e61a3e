//! Maps parameter names of other layouts to the native ones and back (method.md 10).
//!
//! The native names are those of the official release without the prefix `module.`. Other layouts count stages from 0,
//! use other names for most layers, and may split one native tensor into two halves. The encoders define the names of
//! their modules ([`crate::parts::encoders::names`]); this file defines those of decoder and heads.

use std::collections::HashMap;
use std::fmt;

use super::training::is_training_state;
use crate::formats::element::Values;
use crate::formats::fault::{Checked, Fault, quoted};
use crate::formats::tensor_file::{Dropped, NamedTensor};
use crate::parts::encoders::names::Share::{self, FirstHalf, Whole};
use crate::parts::encoders::names::{ModuleName, NamesElsewhere, Numbering, name_at, place_of};
use crate::parts::encoders::{SCOPE, names_elsewhere};

/// A layout to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// That of the official release: the prefix `module.` on every name; an encoder alone without prefix, as in
    /// `mit_b1.pth`.
    Official,
    /// That of Hugging Face: `segformer.encoder.` and `decode_head.`.
    HuggingFace,
    /// The native layout.
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

/// The detected layout of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `patch_embed1.proj.weight`: an encoder as its authors released it, with the name of such files.
    Original(&'static str),
    /// `module.encoder.patch_embed1.proj.weight`: a checkpoint of the official release.
    BmpCheckpoint,
    /// `segformer.encoder.patch_embeddings.0.proj.weight`.
    HuggingFace,
    /// Another layout that an encoder knows, by its name.
    Elsewhere(&'static str),
    /// `encoder.patch_embed1.proj.weight`: the native layout.
    Tagseg,
    /// None of them.
    Unknown,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original(encoder) => encoder,
            Self::BmpCheckpoint => "BMP checkpoint (module.)",
            Self::HuggingFace => HUGGING_FACE,
            Self::Elsewhere(layout) => layout,
            Self::Tagseg => "tagseg",
            Self::Unknown => "unknown",
        })
    }
}

/// The layout that [`Layout::HuggingFace`] writes.
const HUGGING_FACE: &str = "Hugging Face";

/// The modules of decoder and heads in that layout, as rows of [`ModuleName`].
const MODULES: [ModuleName; 5] = [
    ("decoder.linear_c{i}.proj", "decode_head.linear_c.{i}.proj", Whole),
    ("decoder.linear_fuse.conv", "decode_head.linear_fuse", Whole),
    ("decoder.linear_fuse.bn", "decode_head.batch_norm", Whole),
    ("decoder.linear_pred", "decode_head.classifier", Whole),
    ("attn_proj", "attn_proj", Whole),
];

/// Those that have different names in memory.
const MODULES_IN_MEMORY: [ModuleName; 1] =
    [("decoder.linear_c{i}.proj", "decode_head.linear_projections.{i}.proj", Whole)];

/// A row of the key map.
#[derive(Clone, Copy)]
struct Row {
    layout: &'static str,
    original: &'static str,
    ours: &'static str,
    theirs: &'static str,
    share: Share,
    /// Stages that `{i}` may count.
    stages: usize,
    /// How native blocks are numbered.
    numbering: Numbering,
    /// Whether weights are also written under the foreign name.
    written: bool,
}

/// All rows: of decoder and heads, and of all encoders.
fn rows() -> Vec<Row> {
    let own = |written| Row {
        layout: HUGGING_FACE,
        original: "",
        ours: "",
        theirs: "",
        share: Whole,
        stages: usize::MAX,
        numbering: Numbering::InStage,
        written,
    };
    let row = |row: Row, &(ours, theirs, share): &ModuleName| Row { ours, theirs, share, ..row };
    let mut rows: Vec<_> = MODULES.iter().map(|module| row(own(true), module)).collect();
    rows.extend(MODULES_IN_MEMORY.iter().map(|module| row(own(false), module)));
    for &NamesElsewhere { layout, original, stages, numbering, written, modules, .. } in names_elsewhere() {
        let of_encoder = Row { layout, original, stages, numbering, ..own(written) };
        rows.extend(modules.iter().map(|module| row(of_encoder, module)));
    }
    rows
}

/// The number of blocks before every stage. Where native blocks are numbered through all stages, the number of a block
/// depends on the other names in the file.
struct BlocksBefore(Vec<usize>);

impl BlocksBefore {
    fn of<'a>(names: impl Iterator<Item = &'a str>, rows: &[Row]) -> Self {
        let mut depths: Vec<usize> = Vec::new();
        let running: Vec<_> = rows.iter().filter(|row| row.numbering == Numbering::Running).collect();
        for name in names {
            let Some((module, _)) = name.rsplit_once('.') else { continue };
            for row in &running {
                if let Some([stage, block]) = place_of(row.theirs, module, 0, row.stages) {
                    depths.resize(depths.len().max(stage + 1), 0);
                    depths[stage] = depths[stage].max(block.saturating_add(1));
                }
            }
        }
        let mut before = 0_usize;
        let places = depths.iter().map(|depth| {
            let own = before;
            before = before.saturating_add(*depth);
            own
        });
        BlocksBefore(places.collect())
    }

    /// The native place of a foreign one.
    fn place(&self, row: &Row, [stage, block]: [usize; 2]) -> [usize; 2] {
        match row.numbering {
            Numbering::InStage => [stage, block],
            Numbering::Running => [stage, self.0.get(stage).map_or(block, |before| before.saturating_add(block))],
        }
    }
}

/// The native image classifier. It is not a row above, since Hugging Face has a different one of the same name, which
/// is dropped.
const CLASSIFIER: &str = "classifier.weight";

/// A file's tensors under native names.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// The layout they were in.
    pub scheme: Scheme,
    /// Tensors; those that are not in the key map keep their names.
    pub tensors: Vec<NamedTensor>,
    /// Tensors that no supported network has.
    pub dropped: Vec<Dropped>,
}

impl Mapped {
    /// Names that are not in the key map.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let rows = rows();
        self.tensors.iter().map(|tensor| tensor.name.as_str()).filter(move |name| !is_ours(name, &rows))
    }

    /// Whether it contains only an encoder.
    pub fn is_encoder_only(&self) -> bool {
        !self.tensors.is_empty() && self.tensors.iter().all(|tensor| of_encoder(&tensor.name))
    }
}

/// Whether a native name belongs to the encoder.
pub(super) fn of_encoder(name: &str) -> bool {
    bare(name).is_some()
}

/// A name of the encoder without its prefix.
fn bare(name: &str) -> Option<&str> {
    name.strip_prefix(SCOPE)?.strip_prefix('.')
}

/// A name without the prefix of PyTorch's parallel training.
fn without_module(name: &str) -> &str {
    name.strip_prefix("module.").unwrap_or(name)
}

/// Renames tensors of any layout to native names.
///
/// # Errors
/// If two tensors get the same name.
pub fn to_tagseg(tensors: Vec<NamedTensor>) -> Checked<Mapped> {
    let mut mapped = Mapped { scheme: Scheme::Unknown, tensors: Vec::new(), dropped: Vec::new() };
    let (states, tensors): (Vec<_>, Vec<_>) = tensors.into_iter().partition(|tensor| is_training_state(&tensor.name));
    if let Some(first) = states.first() {
        let name = format!("{} tensors like {}", states.len(), first.name);
        mapped.dropped.push(Dropped { name, reason: "are training state".into() });
    }
    let rows = rows();
    let classifiers: Vec<_> = names_elsewhere().iter().flat_map(|names| names.classifier).collect();
    let prefix = wrapper(&tensors, &rows, &classifiers);
    let before = BlocksBefore::of(tensors.iter().map(|tensor| unwrapped(&tensor.name, &prefix)), &rows);
    let mut halves: HashMap<(String, bool), NamedTensor> = HashMap::new();
    for mut tensor in tensors {
        let bare = unwrapped(&tensor.name, &prefix);
        if is_imagenet_head(bare, &tensor.shape, &classifiers) {
            mapped.dropped.push(Dropped { name: tensor.name, reason: "belongs to the ImageNet classifier".into() });
            continue;
        }
        let Some((name, part, scheme)) = our_name(bare, &rows, &before) else {
            mapped.tensors.push(tensor);
            continue;
        };
        let wrapped = tensor.name[..tensor.name.len() - bare.len()].split('.').any(|part| part == MODULE);
        let prefixed = scheme == Scheme::Tagseg && wrapped;
        mapped.scheme = mapped.scheme.or(if prefixed { Scheme::BmpCheckpoint } else { scheme });
        if part == Whole {
            tensor.name = name;
            mapped.tensors.push(tensor);
            continue;
        }
        match halves.remove(&(name.clone(), part == FirstHalf)) {
            Some(other) if part == FirstHalf => mapped.tensors.push(join(name, tensor, other)?),
            Some(other) => mapped.tensors.push(join(name, other, tensor)?),
            // Keep it until the other half is found, under that half's key.
            None => {
                if let Some(twin) = halves.insert((name, part != FirstHalf), tensor) {
                    return Err(Fault::damaged(format!("{} occurs twice", quoted(&twin.name))));
                }
            }
        }
    }
    // Halves without the other half remain unknown.
    let mut alone: Vec<_> = halves.into_values().collect();
    alone.sort_by(|a, b| a.name.cmp(&b.name));
    mapped.tensors.extend(alone);

    let mut names: Vec<_> = mapped.tensors.iter().map(|tensor| &tensor.name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::damaged(format!("two tensors map to {}", quoted(pair[0])))),
        None => Ok(mapped),
    }
}

/// The name that PyTorch's data parallelism puts before all others.
const MODULE: &str = "module";

/// The prefix of all names, such as `backbone.` or `_orig_mod.module.`, without which most of them are known; the
/// shortest one, which is empty for the names of a supported layout.
fn wrapper(tensors: &[NamedTensor], rows: &[Row], classifiers: &[&&str]) -> String {
    let Some(first) = tensors.first() else { return String::new() };
    let shared = |prefix: &str| tensors.iter().all(|tensor| tensor.name.starts_with(prefix));
    let ends = first.name.match_indices('.').map(|(place, _)| place + 1);
    let prefixes = std::iter::once(0).chain(ends).map(|end| &first.name[..end]).take_while(|prefix| shared(prefix));
    let known = |prefix: &str| {
        let names = || tensors.iter().map(|tensor| unwrapped(&tensor.name, prefix));
        let before = BlocksBefore::of(names(), rows);
        let heads = |name: &str, shape: &[usize]| is_imagenet_head(name, shape, classifiers);
        let named = names().zip(tensors.iter().map(|tensor| &tensor.shape[..]));
        named.filter(|(name, shape)| heads(name, shape) || our_name(name, rows, &before).is_some()).count()
    };
    let counted = prefixes.map(|prefix| (known(prefix), prefix));
    // The first of several maxima.
    let best = counted.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map_or(String::new(), |(_, prefix)| prefix.to_owned())
}

/// A name without the prefix of all names, and without `module.`, which some names may have.
fn unwrapped<'a>(name: &'a str, prefix: &str) -> &'a str {
    without_module(name.strip_prefix(prefix).unwrap_or(name))
}

/// Renames tensors with native names to `layout`. Names of heads that are not in the key map are kept.
///
/// # Errors
/// If keys and values cannot be split, or the layout has no name for a tensor of an encoder.
pub fn from_tagseg(tensors: Vec<NamedTensor>, layout: Layout) -> Checked<Vec<NamedTensor>> {
    let encoder_only = tensors.iter().all(|tensor| of_encoder(&tensor.name));
    let rows = rows();
    let mut mapped = Vec::new();
    for tensor in tensors {
        match layout {
            Layout::Tagseg => mapped.push(tensor),
            Layout::Official => {
                let name = match bare(&tensor.name) {
                    Some(flat) if encoder_only => flat.to_owned(),
                    _ => format!("module.{}", tensor.name),
                };
                mapped.push(NamedTensor { name, ..tensor });
            }
            Layout::HuggingFace => match &foreign_names(&tensor.name, &rows)[..] {
                // SegFormer has no other encoder; heads of BMP keep their names.
                [] if of_encoder(&tensor.name) => {
                    let reason = format!("{} has no place in Hugging Face's SegFormer", quoted(&tensor.name));
                    let remedy = "choose another --layout; `huggingface` is for MiT encoders";
                    return Err(Fault { reason, remedy });
                }
                [] => mapped.push(tensor),
                [name] => mapped.push(NamedTensor { name: name.clone(), ..tensor }),
                [first, second, ..] => mapped.extend(split(&tensor, [first, second])?),
            },
        }
    }
    Ok(mapped)
}

/// Whether a name is a native one, of any network.
fn is_ours(name: &str, rows: &[Row]) -> bool {
    let known = |module: &str| rows.iter().any(|row| place_of(row.ours, module, 1, row.stages).is_some());
    name == CLASSIFIER || name.rsplit_once('.').is_some_and(|(module, _)| known(module))
}

/// The 1000-way classifier of ImageNet: the modules that the encoders list, and `classifier` with Hugging Face and
/// timm. The native one is a convolution.
fn is_imagenet_head(name: &str, shape: &[usize], classifiers: &[&&str]) -> bool {
    let known = |module: &str| classifiers.iter().any(|classifier| **classifier == module);
    name == "classifier.bias"
        || name == CLASSIFIER && shape.len() == 2
        || name.rsplit_once('.').is_some_and(|(module, _)| known(module))
}

/// The native name of a foreign tensor, and which part of it the tensor is. The encoder's prefix may be missing.
fn our_name(name: &str, rows: &[Row], before: &BlocksBefore) -> Option<(String, Share, Scheme)> {
    if name == CLASSIFIER {
        return Some((name.to_owned(), Whole, Scheme::Unknown));
    }
    let (module, leaf) = name.rsplit_once('.')?;
    let ours = |module: &str| rows.iter().find(|row| place_of(row.ours, module, 1, row.stages).is_some());
    if ours(module).is_some() {
        return Some((name.to_owned(), Whole, Scheme::Tagseg));
    }
    let prefixed = format!("{SCOPE}.{module}");
    if let Some(row) = ours(&prefixed) {
        return Some((format!("{prefixed}.{leaf}"), Whole, Scheme::Original(row.original)));
    }
    for prefix in ["", "segformer.", "segformer.encoder."] {
        let module = format!("{prefix}{module}");
        for row in rows {
            if let Some(place) = place_of(row.theirs, &module, 0, row.stages) {
                let place = before.place(row, place);
                let scheme =
                    if row.layout == HUGGING_FACE { Scheme::HuggingFace } else { Scheme::Elsewhere(row.layout) };
                return Some((format!("{}.{leaf}", name_at(row.ours, place, 1)), row.share, scheme));
            }
        }
    }
    None
}

/// Hugging Face's names for a native tensor: none, one, or those of the two halves.
fn foreign_names(name: &str, rows: &[Row]) -> Vec<String> {
    let Some((module, leaf)) = name.rsplit_once('.') else { return Vec::new() };
    let rows = rows.iter().filter(|row| row.written && row.layout == HUGGING_FACE);
    let rows = rows.filter_map(|row| Some((row.theirs, place_of(row.ours, module, 1, row.stages)?)));
    rows.map(|(theirs, place)| format!("{}.{leaf}", name_at(theirs, place, 0))).collect()
}

/// Concatenates two tensors along the rows.
fn join(name: String, first: NamedTensor, second: NamedTensor) -> Checked<NamedTensor> {
    let misfit =
        || Fault::damaged(format!("{} and {} have incompatible shapes", quoted(&first.name), quoted(&second.name)));
    let mut shape = first.shape.clone();
    let rows = shape.first_mut().filter(|_| first.shape == second.shape).ok_or_else(misfit)?;
    *rows *= 2;
    let values = match (&first.values, &second.values) {
        (Values::Reals(first), Values::Reals(second)) => Values::Reals([&first[..], &second[..]].concat()),
        _ => return Err(misfit()),
    };
    Ok(NamedTensor { name, shape, element: first.element, values })
}

/// Splits a tensor into two with half the rows each.
fn split(tensor: &NamedTensor, names: [&String; 2]) -> Checked<[NamedTensor; 2]> {
    let mut shape = tensor.shape.clone();
    let (Some(rows), Values::Reals(values)) = (shape.first_mut().filter(|rows| **rows % 2 == 0), &tensor.values) else {
        return Err(Fault::damaged(format!("{} does not consist of keys and values", quoted(&tensor.name))));
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
    /// The more specific of two detected layouts: a name that occurs in one layout outweighs one that occurs in
    /// several.
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
    fn names_survive_a_round_trip() {
        let ours = "encoder.block3.17.attn.q.weight";
        let theirs = "segformer.encoder.block.2.17.attention.self.query.weight";
        assert_eq!(foreign_names(ours, &rows()), [theirs]);
        let our_name = |name: &str| our_name(name, &rows(), &BlocksBefore(Vec::new()));
        for name in [theirs, &theirs["segformer.".len()..], ours, &ours["encoder.".len()..]] {
            assert_eq!(our_name(name).unwrap().0, ours, "{name}");
        }
        let halves = foreign_names("encoder.block1.0.attn.kv.bias", &rows());
        assert_eq!(
            halves,
            [0, 1].map(|half| format!("segformer.encoder.block.0.0.attention.self.{}.bias", ["key", "value"][half]))
        );
        assert_eq!(our_name(&halves[1]).unwrap().1, Share::SecondHalf);
    }

    #[test]
    fn names_of_other_networks_are_unknown() {
        let our_name = |name: &str| our_name(name, &rows(), &BlocksBefore(Vec::new()));
        for name in ["encoder.block5.0.norm1.weight", "encoder.block0.0.norm1.weight", "encoder.block1.00.norm1.weight"]
        {
            assert!(our_name(name).is_none() && !is_ours(name, &rows()), "{name}");
        }
        assert!(our_name("layer1.0.conv1.weight").is_none() && our_name("weight").is_none());
    }
}
