//! The runner of each case by the case's name.

use super::bench::Runner;
use super::{blocks, encoder, evaluation, model, ops, propagation, pseudo, recipe, training};
use crate::run::verify::golden::GoldenCase;

/// Whether a case can store features in half precision: those that run a whole network.
pub fn in_half(case: &GoldenCase) -> bool {
    ["model", "pseudo"].contains(&&*case.spec.group) || case.name() == "trajectory"
}

/// The runner of the case `name`.
pub fn runner(name: &str) -> Option<Runner> {
    Some(match name {
        "op_conv2d" => ops::conv2d,
        "op_layer_norm" => ops::layer_norm,
        "op_linear" => ops::linear,
        "op_matmul" => ops::matmul,
        "op_pointwise" => ops::pointwise,
        "op_batch_norm" => ops::batch_norm,
        "op_bilinear" => ops::bilinear,
        "op_losses" => ops::losses,
        "op_pooling" => ops::pooling,
        "op_softmax" => ops::softmax,
        "attention_block" => blocks::attention_block,
        "mix_ffn_block" => blocks::mix_ffn_block,
        "patch_embedding" => blocks::patch_embedding,
        "decoder_head" => blocks::decoder_head,
        "affinity_head" => blocks::affinity_head,
        "recipe_check" => recipe::recipe_check,
        "denormalise" => recipe::denormalise,
        "par_refinement" => propagation::par_refinement,
        "thresholds_and_walk" => propagation::thresholds_and_walk,
        "nano_weights" | "nano2_weights" => recipe::weights,
        "nano_forward" | "nano2_forward" => model::forward,
        "nano_eps_probe" => model::eps_probe,
        "nano_total_loss" => model::total_loss,
        "mit_b1_forward" => model::mit_b1,
        "lite0_encoder" => encoder::lite0,
        "nano_pseudo_labels" => pseudo::pseudo_labels,
        "nano_test_protocol" => pseudo::test_protocol,
        "adamw_steps" => training::adamw_steps,
        "trajectory" => training::trajectory,
        "evaluation_scores" => evaluation::evaluation_scores,
        _ => return None,
    })
}
