//! The rows: one per op and variant. Those of ops on images are in a file of their own.

mod images;

use tagseg::engine::graph::Tensor;
use tagseg::engine::kernel::Packing;
use tagseg::engine::ops::attention::Heads;
use tagseg::engine::ops::pack::Packed;
use tagseg::engine::ops::random::random_uniform;

use super::Fill::{Fixed, Index, Label, Normal, Positive, Unit};
use super::{Case, Operand};

type Sizes = &'static [&'static [Operand]];

/// Sizes of functions of one real operand: small, odd, aligned, one element, many.
const ONE: Sizes = &[&[(&[2, 3], Normal)], &[(&[3, 67], Normal)], &[(&[4, 5, 8], Normal)], &[(&[], Normal)]];
const ONE_POSITIVE: Sizes = &[&[(&[2, 3], Positive)], &[(&[3, 67], Positive)], &[(&[4, 64], Positive)]];
/// Two real operands: equal, broadcast along inner, outer and middle axes, against a scalar.
const TWO: Sizes = &[
    &[(&[2, 3], Normal), (&[2, 3], Positive)],
    &[(&[3, 67], Normal), (&[67], Positive)],
    &[(&[2, 5, 4, 8], Normal), (&[2, 1, 4, 8], Positive)],
    &[(&[2, 5, 3, 7], Normal), (&[2, 1, 3, 1], Positive)],
    &[(&[2, 1, 8], Normal), (&[5, 1], Positive)],
    &[(&[33, 5], Normal), (&[], Positive)],
];

fn row(name: &'static str, sizes: Sizes, build: fn(&[Tensor]) -> tagseg::Result<Tensor>) -> Case {
    Case { name, sizes, differentiable: true, build }
}

fn fixed(name: &'static str, sizes: Sizes, build: fn(&[Tensor]) -> tagseg::Result<Tensor>) -> Case {
    Case { name, sizes, differentiable: false, build }
}

/// All rows.
pub fn cases() -> Vec<Case> {
    let mut rows = elementwise();
    rows.extend(movement());
    rows.extend(reduce());
    rows.extend(matmul());
    rows.extend(normalisation());
    rows.extend(softmax());
    rows.extend(attention());
    rows.push(fixed("random", &[&[(&[3], Fixed(&[7, -2, 41]))]], |x| random_uniform(&x[0], [5, 13])));
    rows.extend(images::cases());
    rows
}

fn elementwise() -> Vec<Case> {
    vec![
        row("neg", ONE, |x| x[0].neg()),
        row("scale", ONE, |x| x[0].scale(-1.5)),
        row("offset", ONE, |x| x[0].offset(0.25)),
        row("exp", ONE, |x| x[0].exp()),
        row("log", ONE_POSITIVE, |x| x[0].log()),
        row("sqrt", ONE_POSITIVE, |x| x[0].sqrt()),
        row("abs", ONE, |x| x[0].abs()),
        row("relu", ONE, |x| x[0].relu()),
        row("relu6", ONE, |x| x[0].scale(8.0)?.relu6()),
        row("sigmoid", ONE, |x| x[0].scale(6.0)?.sigmoid()),
        row("log_sigmoid", ONE, |x| x[0].scale(6.0)?.log_sigmoid()),
        row("gelu", ONE, |x| x[0].scale(2.0)?.gelu()),
        row("add", TWO, |x| x[0].add(&x[1])),
        row("sub", TWO, |x| x[0].sub(&x[1])),
        row("mul", TWO, |x| x[0].mul(&x[1])),
        row("div", TWO, |x| x[0].div(&x[1])),
        row("maximum", TWO, |x| x[0].maximum(&x[1])),
        row("minimum", TWO, |x| x[0].minimum(&x[1])),
        row("select", TWO, |x| x[0].greater(&x[1])?.select(&x[0], &x[1])),
        row("expand", &[&[(&[2, 1], Normal)], &[(&[3, 1, 5], Normal)]], |x| {
            x[0].expand(if x[0].shape().rank() == 2 { vec![2, 3] } else { vec![2, 3, 7, 5] })
        }),
        // Fifteen functions of six operands, fused into one kernel.
        row("fused chain", TWO, |x| {
            let (a, b) = (&x[0], &x[1]);
            let gate = a.scale(0.5)?.add(b)?.sigmoid()?;
            gate.mul(&a.sub(b)?)?.offset(0.1)?.gelu()?.mul(b)?.relu()?.sub(&a.scale(0.3)?)
        }),
        row("operators", TWO, |x| {
            let (a, b) = (&x[0], &x[1]);
            let sums = (&(a + b)? * &(a - b)?)?;
            let scaled = ((2.0 * a)? + 1.0)? - (0.5 - b)?;
            let shares = (&(a * a)? + 3.0)?;
            ((-(&sums * &scaled?)?)? / &shares)? + (1.0 / &(&shares / 2.0)?)?
        }),
        fixed("equal", &[&[(&[2, 3], Label(3)), (&[2, 3], Label(3))], &[(&[7, 9], Label(3)), (&[], Label(3))]], |x| {
            x[0].equal(&x[1])
        }),
        row("trunc", &[&[(&[2, 3], Positive)], &[(&[7, 9], Positive)]], |x| x[0].scale(9.0)?.trunc()?.to_integer()),
    ]
}

fn movement() -> Vec<Case> {
    const THREE: Sizes = &[&[(&[2, 3, 4], Normal)], &[(&[3, 7, 5], Normal)], &[(&[4, 8, 12], Normal)]];
    vec![
        row("permute", THREE, |x| x[0].permute(&[2, 0, 1])),
        row("transpose", THREE, |x| x[0].permute(&[1, 0, 2])),
        row("slice", THREE, |x| x[0].slice(1, 1..3)),
        row("slice inner", THREE, |x| x[0].slice(2, 0..4)),
        row("pad", THREE, |x| x[0].pad(1, 2, 11)),
        row("flip", THREE, |x| x[0].flip(2)),
        row("axes from the end", THREE, |x| {
            let turned = x[0].permute(&[0, -1, 1])?.flip(-1)?.pad(-2, 1, 14)?;
            Tensor::concat(&[&turned.slice(-1, 1..2)?, &turned], -1)
        }),
        row("concat", THREE, |x| Tensor::concat(&[&x[0], &x[0].scale(2.0)?, &x[0].slice(1, 0..2)?], 1)),
        fixed("slice of integers", &[&[(&[4, 4], Index(9))], &[(&[3, 5], Index(9))]], |x| x[0].slice(1, 2..4)),
        fixed("concat of integers", &[&[(&[2, 8], Index(9))]], |x| Tensor::concat(&[&x[0], &x[0]], 1)),
        // Results of a kernel, once and twice, and values without a kernel; the gaps are not compared.
        fixed("pack", &[&[(&[2, 3], Normal), (&[5], Normal)], &[(&[3, 67], Normal), (&[41, 13], Normal)]], |x| {
            let own = x[0].exp()?;
            let tensors = [x[1].exp()?, x[0].clone(), own.clone(), x[1].clone(), own];
            let starts = Packing::of(tensors.iter().map(|tensor| tensor.shape().len())).starts;
            let packed = Packed::new(&tensors)?.values()[0].clone();
            let of =
                tensors.iter().zip(starts).map(|(tensor, start)| packed.slice(0, start..start + tensor.shape().len()));
            Tensor::concat(&of.collect::<tagseg::Result<Vec<_>>>()?.iter().collect::<Vec<_>>(), 0)
        }),
        fixed("pack of packs", &[&[(&[2, 3], Normal), (&[5], Normal)]], |x| {
            let inner = Packed::new(&[x[0].exp()?, x[1].exp()?])?.values()[0].clone();
            let start = Packing::of([inner.shape().len(), 5].into_iter()).starts[1];
            let outer = Packed::new(&[inner, x[1].relu()?])?.values()[0].clone();
            Tensor::concat(&[&outer.slice(0, 0..6)?, &outer.slice(0, start..start + 5)?], 0)
        }),
        row("reshape", THREE, |x| x[0].reshape([x[0].shape().len()])?.mul(&x[0].reshape([x[0].shape().len()])?)),
    ]
}

fn reduce() -> Vec<Case> {
    const SIZES: Sizes = &[
        &[(&[2, 3, 2], Normal)],
        &[(&[3, 517, 5], Normal)],
        &[(&[2, 1030, 8], Normal)],
        &[(&[5, 2052, 1], Normal)],
        &[(&[700, 3, 4], Normal)],
        &[(&[1, 4099, 1], Normal)],
    ];
    const APART: Sizes = &[&[(&[2, 3, 2, 3], Normal)], &[(&[5, 6, 7, 8], Normal)], &[(&[3, 4, 65, 9], Normal)]];
    vec![
        row("sum", SIZES, |x| x[0].sum_keep(1)),
        row("max", SIZES, |x| x[0].max_keep(1)),
        row("min", SIZES, |x| x[0].min_keep(1)),
        fixed("arg_max", SIZES, |x| x[0].arg_max_keep(1)),
        fixed("arg_max of the last axis", SIZES, |x| x[0].arg_max(-1)),
        fixed("arg_max in parts", &[&[(&[45_001, 2], Normal)], &[(&[90_004, 1], Normal)]], |x| x[0].arg_max(0)),
        row("mean_all", SIZES, |x| x[0].mean_all()),
        row("mean of the last axis", SIZES, |x| x[0].mean(-1)),
        row("sum of axes apart", APART, |x| x[0].sum([0, -1])),
        row("max of axes apart", APART, |x| x[0].max([-3, 3])),
        row("min of axes apart", APART, |x| x[0].min_keep([3, 1])),
        row("sum of the last two axes", APART, |x| x[0].sum(-2..)),
        row("mean of five axes", &[&[(&[2, 3, 2, 1, 3], Normal)], &[(&[3, 5, 7, 2, 4], Normal)]], |x| {
            x[0].mean([0, 2, 4])
        }),
    ]
}

fn matmul() -> Vec<Case> {
    // As many rows and columns as a workgroup's tile, or only a few; scalar and `vec4` loads.
    const SIDES: Sizes = &[
        &[(&[3, 2], Normal), (&[2, 2], Normal), (&[2], Normal)],
        &[(&[61, 5], Normal), (&[60, 5], Normal), (&[60], Normal)],
        &[(&[61, 8], Normal), (&[53, 8], Normal), (&[53], Normal)],
        &[(&[61, 8], Normal), (&[60, 8], Normal), (&[60], Normal)],
        &[(&[61, 8], Normal), (&[4, 8], Normal), (&[4], Normal)],
        &[(&[61, 8], Normal), (&[1, 8], Normal), (&[1], Normal)],
        &[(&[61, 60], Normal), (&[4, 60], Normal), (&[4], Normal)],
        &[(&[5, 57], Normal), (&[60, 57], Normal), (&[60], Normal)],
        &[(&[5, 60], Normal), (&[60, 60], Normal), (&[60], Normal)],
        &[(&[1, 60], Normal), (&[60, 60], Normal), (&[60], Normal)],
        // The gradients of these weights are sums of whole fours of terms.
        &[(&[4, 60], Normal), (&[60, 60], Normal), (&[60], Normal)],
        &[(&[64, 5], Normal), (&[60, 5], Normal), (&[60], Normal)],
        &[(&[64, 8], Normal), (&[53, 8], Normal), (&[53], Normal)],
        &[(&[64, 8], Normal), (&[60, 8], Normal), (&[60], Normal)],
        &[(&[64, 8], Normal), (&[4, 8], Normal), (&[4], Normal)],
        &[(&[64, 60], Normal), (&[4, 60], Normal), (&[4], Normal)],
        &[(&[64, 60], Normal), (&[53, 60], Normal), (&[53], Normal)],
    ];
    vec![
        row(
            "matmul",
            &[
                &[(&[2, 3, 4], Normal), (&[2, 4, 2], Normal)],
                &[(&[4, 17, 23], Normal), (&[4, 23, 12], Normal)],
                &[(&[2, 12, 16], Normal), (&[2, 16, 20], Normal)],
                &[(&[1, 5, 1040], Normal), (&[1, 1040, 7], Normal)],
                &[(&[1, 261, 20], Normal), (&[1, 20, 85], Normal)],
                &[(&[2, 132, 12], Normal), (&[2, 12, 84], Normal)],
                // Whole matrices of 16×16, but not whole tiles.
                &[(&[2, 80, 48], Normal), (&[2, 48, 48], Normal)],
                // Whole matrices of 8×8, but not whole tiles; a long sum.
                &[(&[2, 56, 32], Normal), (&[2, 32, 64], Normal)],
                &[(&[1, 56, 1040], Normal), (&[1, 1040, 56], Normal)],
            ],
            |x| x[0].matmul(&x[1]),
        ),
        // As large as the tile of a workgroup; the last is also split along k.
        fixed(
            "matmul in tiles",
            &[
                &[(&[3, 61, 57], Unit), (&[3, 57, 53], Unit)],
                &[(&[3, 60, 20], Unit), (&[3, 20, 60], Unit)],
                &[(&[3, 61, 5], Unit), (&[3, 5, 60], Unit)],
                &[(&[3, 53, 132], Unit), (&[3, 132, 53], Unit)],
                &[(&[3, 4, 5], Unit), (&[3, 5, 60], Unit)],
                &[(&[3, 13, 5], Unit), (&[3, 5, 60], Unit)],
            ],
            |x| x[0].offset(-0.5)?.matmul(&x[1]),
        ),
        fixed(
            "matmul_nt in tiles",
            &[&[(&[3, 60, 20], Unit), (&[3, 56, 20], Unit)], &[(&[3, 61, 20], Unit), (&[3, 63, 20], Unit)]],
            |x| x[0].matmul_nt(&x[1]),
        ),
        fixed(
            "matmul_tn in tiles",
            &[
                &[(&[3, 18, 60], Unit), (&[3, 18, 64], Unit)],
                &[(&[3, 18, 60], Unit), (&[3, 18, 4], Unit)],
                &[(&[3, 18, 4], Unit), (&[3, 18, 60], Unit)],
                &[(&[3, 18, 24], Unit), (&[3, 18, 64], Unit)],
                &[(&[3, 20, 60], Unit), (&[3, 20, 64], Unit)],
                &[(&[3, 20, 60], Unit), (&[3, 20, 4], Unit)],
                &[(&[3, 20, 4], Unit), (&[3, 20, 60], Unit)],
                &[(&[3, 20, 24], Unit), (&[3, 20, 64], Unit)],
            ],
            |x| x[0].matmul_tn(&x[1]),
        ),
        row(
            "matmul_nt",
            &[
                &[(&[1, 2, 4], Normal), (&[1, 3, 4], Normal)],
                &[(&[3, 17, 8], Normal), (&[3, 13, 8], Normal)],
                // Whole matrices of 16×16, but not whole tiles.
                &[(&[2, 80, 48], Normal), (&[2, 48, 48], Normal)],
            ],
            |x| x[0].matmul_nt(&x[1]),
        ),
        row(
            "matmul_tn",
            &[&[(&[1, 4, 2], Normal), (&[1, 4, 3], Normal)], &[(&[3, 19, 8], Normal), (&[3, 19, 12], Normal)]],
            |x| x[0].matmul_tn(&x[1]),
        ),
        row(
            "linear",
            &[
                &[(&[2, 2, 3], Normal), (&[4, 3], Normal), (&[4], Normal)],
                &[(&[2, 19, 24], Normal), (&[31, 24], Normal), (&[31], Normal)],
                &[(&[2, 1025, 16], Normal), (&[32, 16], Normal), (&[32], Normal)],
                &[(&[3, 1028], Normal), (&[8, 1028], Normal), (&[8], Normal)],
                &[(&[2, 32, 32], Normal), (&[56, 32], Normal), (&[56], Normal)],
                &[(&[2, 40, 48], Normal), (&[80, 48], Normal), (&[80], Normal)],
            ],
            |x| x[0].linear(&x[1], Some(&x[2])),
        ),
        row("linear of all sides", SIDES, |x| x[0].linear(&x[1], None)),
        row("linear of all sides with bias", SIDES, |x| x[0].linear(&x[1], Some(&x[2]))),
        row(
            "attention_scores",
            &[
                &[(&[2, 3, 4], Normal), (&[2, 2, 4], Normal)],
                &[(&[2, 33, 16], Normal), (&[2, 7, 16], Normal)],
                &[(&[1, 20, 12], Normal), (&[1, 20, 12], Normal)],
                &[(&[1, 56, 64], Normal), (&[1, 64, 64], Normal)],
            ],
            |x| x[0].attention_scores(&x[1], 2),
        ),
        row(
            "attention_values",
            &[
                &[(&[2, 2, 3, 2], Normal), (&[2, 2, 4], Normal)],
                &[(&[2, 2, 33, 7], Normal), (&[2, 7, 16], Normal)],
                &[(&[2, 2, 32, 7], Normal), (&[2, 7, 16], Normal)],
                &[(&[2, 2, 32, 7], Normal), (&[2, 7, 32], Normal)],
                &[(&[2, 2, 36, 13], Normal), (&[2, 13, 32], Normal)],
                &[(&[1, 2, 20, 20], Normal), (&[1, 20, 12], Normal)],
                &[(&[1, 2, 56, 64], Normal), (&[1, 64, 64], Normal)],
            ],
            |x| x[0].attention_values(&x[1]),
        ),
    ]
}

fn normalisation() -> Vec<Case> {
    const LAYER: Sizes = &[
        &[(&[2, 5], Normal), (&[5], Positive), (&[5], Normal)],
        &[(&[3, 5, 67], Normal), (&[67], Positive), (&[67], Normal)],
        &[(&[2, 1030, 16], Normal), (&[16], Positive), (&[16], Normal)],
        &[(&[3, 64], Normal), (&[64], Positive), (&[64], Normal)],
    ];
    const BATCH: Sizes = &[
        &[(&[2, 2, 3], Normal), (&[3], Positive), (&[3], Normal)],
        &[(&[3, 13, 11, 7], Normal), (&[7], Positive), (&[7], Normal)],
        &[(&[2, 1030, 16], Normal), (&[16], Positive), (&[16], Normal)],
    ];
    vec![
        row("layer_norm", LAYER, |x| x[0].layer_norm(&x[1], &x[2], 1e-6)),
        row("layer_norm far from zero", LAYER, |x| x[0].offset(64.0)?.layer_norm(&x[1], &x[2], 1e-6)),
        row("batch_statistics", BATCH, |x| x[0].batch_statistics()),
        row("batch_statistics far from zero", BATCH, |x| x[0].offset(64.0)?.batch_statistics()?.sub(&x[1])),
        row("batch_norm", BATCH, |x| x[0].batch_norm(&x[0].batch_statistics()?, &x[1], &x[2], 1e-5)),
        // Separate statistics: their gradients are tested apart from that of x.
        row(
            "batch_norm by given statistics",
            &[
                &[(&[2, 3, 5], Normal), (&[2, 5], Positive), (&[5], Positive), (&[5], Normal)],
                &[(&[3, 141, 12], Normal), (&[2, 12], Positive), (&[12], Positive), (&[12], Normal)],
            ],
            |x| x[0].batch_norm(&x[1], &x[2], &x[3], 1e-5)?.relu(),
        ),
        row("layer_norm tiny", LAYER, |x| x[0].scale(1e-3)?.layer_norm(&x[1], &x[2], 1e-5)),
    ]
}

fn softmax() -> Vec<Case> {
    const ROWS: Sizes = &[&[(&[2, 5], Normal)], &[(&[3, 5, 67], Normal)], &[(&[2, 70, 36], Normal)]];
    vec![
        row("softmax", ROWS, |x| x[0].softmax_scaled(0.25)),
        // A few entries of a row have nearly all of the weight: exponents far apart, on both sides of the largest.
        row("softmax steep", ROWS, |x| x[0].softmax_scaled(8.0)),
        row("log_softmax", &[&[(&[2, 3, 2, 2], Normal)], &[(&[2, 21, 7, 5], Normal)]], |x| {
            x[0].scale(3.0)?.log_softmax(1)
        }),
        row("softmax of the last axis", ROWS, |x| x[0].softmax(-1)),
        row("softmax of channels", &[&[(&[2, 3, 2, 2], Normal)], &[(&[3, 21, 7, 5], Normal)]], |x| x[0].softmax(1)),
        row("softmax of the first of five axes", &[&[(&[3, 2, 1, 2, 2], Normal)]], |x| x[0].softmax(-5)),
        row("log_softmax inner", ROWS, |x| x[0].log_softmax(-1)),
    ]
}

fn attention() -> Vec<Case> {
    vec![
        row(
            "attention",
            &[
                &[(&[1, 3, 8], Normal), (&[1, 2, 8], Normal), (&[1, 2, 8], Normal)],
                &[(&[2, 13, 24], Normal), (&[2, 19, 24], Normal), (&[2, 19, 24], Normal)],
                &[(&[1, 9, 64], Normal), (&[1, 8, 64], Normal), (&[1, 8, 64], Normal)],
                &[(&[1, 5, 128], Normal), (&[1, 7, 128], Normal), (&[1, 7, 128], Normal)],
                &[(&[1, 36, 128], Normal), (&[1, 40, 128], Normal), (&[1, 40, 128], Normal)],
                // Several tiles of 32 rows and columns, heads of an odd number of vec4s.
                &[(&[2, 37, 88], Normal), (&[2, 71, 88], Normal), (&[2, 71, 88], Normal)],
                // Few keys and many queries: the sums over queries are split.
                &[(&[2, 700, 8], Normal), (&[2, 5, 8], Normal), (&[2, 5, 8], Normal)],
            ],
            |x| x[0].attention(&x[1], &x[2], Heads { count: 2, scale: 0.5 }),
        ),
        // A few keys have nearly all of the weight, and the largest score moves from block to block.
        row(
            "attention steep",
            &[
                &[(&[1, 2, 4], Normal), (&[1, 3, 4], Normal), (&[1, 3, 4], Normal)],
                &[(&[1, 6, 16], Normal), (&[1, 90, 16], Normal), (&[1, 90, 16], Normal)],
            ],
            |x| x[0].attention(&x[1], &x[2], Heads { count: 1, scale: 2.0 }),
        ),
    ]
}
