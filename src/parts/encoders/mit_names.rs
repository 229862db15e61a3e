//! The names of MiT's modules in the files of Hugging Face (method.md 10).

use super::names::Share::{FirstHalf, SecondHalf, Whole};
use super::names::{ModuleName, NamesElsewhere, Numbering};

/// As `save_pretrained` writes them, and as they are called in memory in current versions (`transformers` 5.23), which
/// `torch.save(model.state_dict())` writes.
pub(super) static NAMES: [NamesElsewhere; 2] = [names(true, &SAVED), names(false, &IN_MEMORY)];

const fn names(written: bool, modules: &'static [ModuleName]) -> NamesElsewhere {
    NamesElsewhere {
        layout: "Hugging Face",
        original: "original MiT encoder",
        stages: 4,
        numbering: Numbering::InStage,
        written,
        modules,
        classifier: &["head"],
    }
}

const SAVED: [ModuleName; 14] = [
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
];

const IN_MEMORY: [ModuleName; 14] = [
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
];
