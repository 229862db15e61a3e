//! The rows of ops on images: convolution, resizing, losses of pixels, seeds in slots, and refinement.

use tagseg::engine::graph::Tensor;
use tagseg::engine::ops::conv2d::Padding;
use tagseg::engine::ops::par::Par;

use super::{Sizes, fixed, row};
use crate::Fill::{Fixed, Index, Label, Normal, Unit};
use crate::{Case, Fill};

/// Words of four bytes each, which f32 holds exactly.
const BYTES: Fill = Fixed(&[0x0403_0200, -1, 0, 0x10FF_0000, -0x7F00_0000, 0x00AB_CDEF]);

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut rows = convolution();
    rows.extend(resize());
    rows.extend(pixel_loss());
    rows.extend(slots());
    rows.extend(par());
    rows.extend(box_resize());
    rows
}

fn convolution() -> Vec<Case> {
    const THREE: Sizes = &[
        &[(&[1, 3, 4, 2], Normal), (&[2, 1, 3, 3], Normal), (&[2], Normal)],
        &[(&[2, 9, 8, 5], Normal), (&[5, 1, 3, 3], Normal), (&[5], Normal)],
        &[(&[3, 10, 37, 12], Normal), (&[12, 1, 3, 3], Normal), (&[12], Normal)],
        &[(&[1, 1, 1, 8], Normal), (&[8, 1, 3, 3], Normal), (&[8], Normal)],
    ];
    const FIVE: Sizes = &[
        &[(&[1, 3, 4, 2], Normal), (&[2, 1, 5, 5], Normal), (&[2], Normal)],
        &[(&[2, 9, 8, 5], Normal), (&[5, 1, 5, 5], Normal), (&[5], Normal)],
        &[(&[3, 10, 37, 12], Normal), (&[12, 1, 5, 5], Normal), (&[12], Normal)],
        &[(&[1, 1, 2, 8], Normal), (&[8, 1, 5, 5], Normal), (&[8], Normal)],
    ];
    const WIDE_THREE: Sizes = &[
        &[(&[1, 7, 5, 2], Normal), (&[2, 1, 3, 3], Normal), (&[2], Normal)],
        &[(&[2, 17, 23, 8], Normal), (&[8, 1, 3, 3], Normal), (&[8], Normal)],
    ];
    const WIDE: Sizes = &[
        &[(&[1, 13, 14, 1], Normal), (&[1, 1, 5, 5], Normal), (&[1], Normal)],
        &[(&[2, 17, 23, 8], Normal), (&[8, 1, 5, 5], Normal), (&[8], Normal)],
    ];
    fn same(x: &[Tensor], stride: usize, dilation: usize) -> tagseg::Result<Padding> {
        let [_, height, width, _] = x[0].extents()?;
        let [.., kernel]: [usize; 4] = x[1].extents()?;
        Ok(Padding::same([height, width], kernel, stride, dilation))
    }
    fn depthwise_same(x: &[Tensor], stride: usize, dilation: usize) -> tagseg::Result<Tensor> {
        x[0].depthwise_conv2d(&x[1], &x[2], stride, dilation, same(x, stride, dilation)?)
    }
    vec![
        // Patch embedding of the first stage, on odd extents.
        row(
            "conv2d 7, 4, 3",
            &[
                &[(&[1, 5, 6, 1], Normal), (&[2, 1, 7, 7], Normal), (&[2], Normal)],
                &[(&[2, 17, 23, 3], Normal), (&[8, 3, 7, 7], Normal), (&[8], Normal)],
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), 4, 3),
        ),
        row(
            "conv2d 3, 2, 1",
            &[
                &[(&[1, 3, 4, 2], Normal), (&[2, 2, 3, 3], Normal), (&[2], Normal)],
                &[(&[2, 9, 12, 8], Normal), (&[12, 8, 3, 3], Normal), (&[12], Normal)],
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), 2, 1),
        ),
        // TensorFlow's SAME: zeros on both sides of an odd extent, behind an even one.
        row(
            "conv2d 3, 2, same",
            &[
                &[(&[1, 3, 4, 2], Normal), (&[2, 2, 3, 3], Normal), (&[2], Normal)],
                &[(&[2, 8, 13, 3], Normal), (&[12, 3, 3, 3], Normal), (&[12], Normal)],
                &[(&[2, 6, 4, 4], Normal), (&[4, 4, 3, 3], Normal), (&[4], Normal)],
                &[(&[2, 6, 8, 4], Normal), (&[16, 4, 3, 3], Normal), (&[16], Normal)],
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), 2, same(x, 2, 1)?),
        ),
        row(
            "conv2d 3, 1, 1",
            &[
                &[(&[1, 2, 3, 2], Normal), (&[2, 2, 3, 3], Normal)],
                &[(&[2, 7, 5, 12], Normal), (&[7, 12, 3, 3], Normal)],
                // As large as the tile of a workgroup; the sums are split.
                &[(&[1, 8, 8, 48], Normal), (&[60, 48, 3, 3], Normal)],
                &[(&[1, 9, 7, 48], Normal), (&[60, 48, 3, 3], Normal)],
                &[(&[4, 9, 7, 48], Normal), (&[60, 48, 3, 3], Normal)],
            ],
            |x| x[0].conv2d(&x[1], None, 1, 1),
        ),
        // Spatial reduction: the last row and column do not fill a patch.
        row(
            "conv2d 4, 4, 0",
            &[
                &[(&[1, 4, 5, 1], Normal), (&[2, 1, 4, 4], Normal), (&[2], Normal)],
                &[(&[2, 9, 13, 8], Normal), (&[8, 8, 4, 4], Normal), (&[8], Normal)],
                // As large as the tile of a workgroup; the sums are not split.
                &[(&[1, 32, 32, 4], Normal), (&[60, 4, 4, 4], Normal), (&[60], Normal)],
                &[(&[1, 36, 28, 4], Normal), (&[60, 4, 4, 4], Normal), (&[60], Normal)],
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), 4, 0),
        ),
        row(
            "depthwise_conv2d",
            &[
                &[(&[1, 3, 4, 2], Normal), (&[2, 1, 3, 3], Normal), (&[2], Normal)],
                &[(&[2, 9, 7, 5], Normal), (&[5, 1, 3, 3], Normal), (&[5], Normal)],
                &[(&[3, 37, 6, 12], Normal), (&[12, 1, 3, 3], Normal), (&[12], Normal)],
                &[(&[1, 1, 33, 8], Normal), (&[8, 1, 3, 3], Normal), (&[8], Normal)],
            ],
            |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 1, 1),
        ),
        row("depthwise_conv2d 5", FIVE, |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 1, 2)),
        // As TensorFlow pads, on even and odd extents; the first row or column may be in no window.
        row("depthwise_conv2d 3, stride 2", THREE, |x| depthwise_same(x, 2, 1)),
        row("depthwise_conv2d 5, stride 2", FIVE, |x| depthwise_same(x, 2, 1)),
        row("depthwise_conv2d 3, dilation 2", THREE, |x| depthwise_same(x, 1, 2)),
        row("depthwise_conv2d 5, dilation 2", FIVE, |x| depthwise_same(x, 1, 2)),
        row("depthwise_conv2d 5, dilation 3, no zeros", WIDE, |x| x[0].depthwise_conv2d(&x[1], &x[2], 1, 3, 0)),
        row("depthwise_conv2d 3, stride 3", WIDE_THREE, |x| x[0].depthwise_conv2d(&x[1], &x[2], 3, 1, 0)),
        row("depthwise_conv2d 5, stride 4", WIDE, |x| x[0].depthwise_conv2d(&x[1], &x[2], 4, 1, 3)),
        row(
            "conv2d 1",
            &[
                &[(&[1, 2, 2, 3], Normal), (&[2, 3, 1, 1], Normal), (&[2], Normal)],
                &[(&[2, 7, 5, 12], Normal), (&[5, 12, 1, 1], Normal), (&[5], Normal)],
            ],
            |x| x[0].conv2d(&x[1], Some(&x[2]), 1, 0),
        ),
    ]
}

fn resize() -> Vec<Case> {
    const MAPS: Sizes = &[
        &[(&[1, 2, 2, 3], Normal)],
        &[(&[2, 1, 5, 16], Normal)],
        &[(&[1, 3, 64, 13], Normal)],
        &[(&[2, 2, 48, 31], Normal)],
        &[(&[1, 1, 1, 1], Normal)],
    ];
    const FEATURES: Sizes = &[
        &[(&[1, 2, 3, 2], Normal)],
        &[(&[2, 5, 16, 3], Normal)],
        &[(&[1, 13, 48, 8], Normal)],
        &[(&[1, 31, 9, 4], Normal)],
    ];
    /// Features, and larger ones to add them to.
    const ONTO: Sizes = &[
        &[(&[1, 2, 3, 2], Normal), (&[1, 5, 4, 2], Normal)],
        &[(&[2, 5, 16, 3], Normal), (&[2, 13, 31, 3], Normal)],
        &[(&[1, 13, 48, 8], Normal), (&[1, 26, 60, 8], Normal)],
        &[(&[2, 3, 5, 1], Normal), (&[2, 7, 12, 1], Normal)],
        &[(&[1, 3, 9, 4], Normal), (&[1, 3, 9, 4], Normal)],
    ];
    /// Sizes between which cells and weights are hard to hit: 5 → 13, 16 → 64, 64 → 31, 48 → 144, and similar.
    fn target(extent: usize) -> usize {
        match extent {
            2 => 5,
            3 => 2,
            5 => 13,
            16 => 64,
            64 => 31,
            48 => 144,
            13 => 20,
            31 => 12,
            other => other + 3,
        }
    }
    /// Height and width of maps, channels first.
    fn of_map(x: &Tensor) -> tagseg::Result<[usize; 2]> {
        x.extents().map(|[_, _, height, width]| [height, width])
    }
    /// Height and width of features, channels last.
    fn of_features(x: &Tensor) -> tagseg::Result<[usize; 2]> {
        x.extents().map(|[_, height, width, _]| [height, width])
    }
    vec![
        row("resize", MAPS, |x| x[0].resize(of_map(&x[0])?.map(target), false)),
        row("resize align_corners", MAPS, |x| x[0].resize(of_map(&x[0])?.map(target), true)),
        row("resize rows", MAPS, |x| {
            of_map(&x[0]).and_then(|[rows, columns]| x[0].resize([target(rows), columns], false))
        }),
        row("resize columns", MAPS, |x| of_map(&x[0]).and_then(|[rows, _]| x[0].resize([rows, 1], true))),
        row("resize reduced", MAPS, |x| {
            of_map(&x[0]).and_then(|[_, columns]| x[0].resize([1, (columns / 4).max(1)], false))
        }),
        row("resize_by_factor 1.5", MAPS, |x| x[0].resize_by_factor(1.5)),
        row("resize_by_factor 0.75", &MAPS[..4], |x| x[0].resize_by_factor(0.75)),
        row("resize_by_factor 2.7183", MAPS, |x| x[0].resize_by_factor(std::f64::consts::E)),
        row("resize_channels_last", FEATURES, |x| x[0].resize_channels_last(of_features(&x[0])?.map(target), false)),
        row("resize_channels_last align_corners", FEATURES, |x| {
            x[0].resize_channels_last(of_features(&x[0])?.map(target), true)
        }),
        row("resize_channels_last_by_factor", FEATURES, |x| x[0].resize_channels_last_by_factor(1.5)),
        row("resize_channels_last_onto", ONTO, |x| x[0].resize_channels_last_onto(&x[1], false)),
    ]
}

fn pixel_loss() -> Vec<Case> {
    const SIZES: Sizes = &[
        &[(&[2, 3, 2, 2], Normal), (&[2, 2, 2], Label(3))],
        &[(&[2, 7, 5, 9], Normal), (&[2, 5, 9], Label(7))],
        &[(&[3, 21, 6, 10], Normal), (&[3, 6, 10], Label(21))],
        &[(&[1, 2, 4, 8], Normal), (&[1, 4, 8], Fixed(&[255]))],
        &[(&[1, 1, 1, 3], Normal), (&[1, 1, 3], Label(1))],
    ];
    // Logits on a coarser grid: by whole steps, by others, in one direction only, and on a finer one.
    const COARSER: Sizes = &[
        &[(&[1, 2, 2, 2], Normal), (&[1, 4, 3], Label(2))],
        &[(&[2, 5, 3, 4], Normal), (&[2, 12, 16], Label(5))],
        &[(&[2, 4, 3, 2], Normal), (&[2, 48, 32], Label(4))],
        &[(&[1, 5, 7, 5], Normal), (&[1, 13, 12], Label(5))],
        &[(&[2, 3, 6, 3], Normal), (&[2, 6, 7], Label(3))],
        &[(&[1, 3, 9, 10], Normal), (&[1, 5, 4], Label(3))],
    ];
    vec![
        row("margin_map coarser", COARSER, |x| x[0].scale(4.0)?.margin_map(&x[1], 0)),
        row("cross_entropy_map coarser", COARSER, |x| x[0].scale(4.0)?.cross_entropy_map(&x[1], 1)),
        row("margin_map", SIZES, |x| x[0].scale(8.0)?.margin_map(&x[1], 0)),
        row("margin_map from 1", SIZES, |x| x[0].margin_map(&x[1], 1)),
        row("cross_entropy_map", SIZES, |x| x[0].scale(8.0)?.cross_entropy_map(&x[1], 0)),
        row("cross_entropy_map from 1", SIZES, |x| x[0].cross_entropy_map(&x[1], 1)),
    ]
}

fn slots() -> Vec<Case> {
    const MAPS: Sizes = &[
        &[(&[2, 3, 2, 2], Normal), (&[2, 3], Fixed(&[0, 2, -1, 1, 3, -1]))],
        &[(&[2, 5, 4, 7], Normal), (&[2, 8], Fixed(&[0, 1, 4, -1, -1, -1, -1, -1, 0, 3, 5, 2, 4, -1, -1, -1]))],
        &[(&[3, 5, 3, 7], Normal), (&[3, 4], Fixed(&[0, 2, 5, -1]))],
    ];
    const SLOTS: Sizes = &[
        &[(&[2, 2, 3, 4], Normal), (&[2, 4], Fixed(&[0, 2, -1, -1, 0, 1, 3, -1]))],
        &[(&[3, 5, 7, 8], Normal), (&[3, 8], Fixed(&[0, 5, 4, -1, -1, -1, -1, -1, 0, 3, 3, 2, 4, -1, -1, -1]))],
    ];
    vec![
        row("gather_slots", MAPS, |x| x[0].gather_slots(&x[1], 0)),
        row("gather_slots from 1", MAPS, |x| x[0].gather_slots(&x[1], 1)),
        row("scatter_slots", SLOTS, |x| x[0].scatter_slots(&x[1], 4, 0)),
        row("scatter_slots from 1", SLOTS, |x| x[0].scatter_slots(&x[1], 5, 1)),
        fixed(
            "lookup",
            &[
                &[(&[2, 3], Fixed(&[0, 7, -1, 0, 2, 9])), (&[2, 2, 2], Index(3))],
                &[(&[3, 4], Index(200)), (&[3, 5, 7], Index(4))],
                &[(&[3, 4], Index(200)), (&[3, 5, 8], Fixed(&[0, 3, -2, 1, 9]))],
            ],
            |x| x[0].lookup(&x[1]),
        ),
        fixed("pixels", &[&[(&[14], BYTES), (&[3, 256], Unit)], &[(&[390], BYTES), (&[3, 256], Unit)]], |x| {
            let small = x[0].shape().len() == 14;
            x[0].pixels(if small { [1, 3, 6, 3] } else { [2, 20, 13, 3] }, &x[1])
        }),
        fixed("pixels of one channel", &[&[(&[96], BYTES), (&[1, 256], Unit)]], |x| x[0].pixels([3, 16, 8, 1], &x[1])),
    ]
}

fn par() -> Vec<Case> {
    vec![
        fixed(
            "par_weights",
            &[
                &[(&[1, 3, 3, 3], Unit), (&[1, 2], Fixed(&[3, 2]))],
                &[(&[2, 13, 17, 3], Unit), (&[2, 2], Fixed(&[13, 17, 9, 5]))],
                &[(&[1, 28, 52, 3], Unit), (&[1, 2], Fixed(&[28, 51]))],
            ],
            |x| x[0].par_weights(&x[1], &Par::default()),
        ),
        fixed("par_weights of three rings", &[&[(&[1, 9, 8, 3], Unit), (&[1, 2], Fixed(&[9, 8]))]], |x| {
            x[0].par_weights(&x[1], &Par { dilations: vec![1, 3, 7], w1: 0.5, w2: 0.1 })
        }),
        row(
            "par_step",
            &[
                &[
                    (&[1, 3, 3, 4], Normal),
                    (&[1, 3, 3, 48], Unit),
                    (&[1, 2], Fixed(&[3, 2])),
                    (&[1, 4], Fixed(&[0, 3, -1, -1])),
                ],
                &[
                    (&[2, 13, 17, 4], Normal),
                    (&[2, 13, 17, 48], Unit),
                    (&[2, 2], Fixed(&[13, 17, 9, 5])),
                    (&[2, 4], Fixed(&[-1, -1, -1, -1, 0, 1, 2, -1])),
                ],
                &[
                    (&[3, 9, 28, 8], Normal),
                    (&[3, 9, 28, 48], Unit),
                    (&[3, 2], Fixed(&[9, 28, 9, 27, 1, 1])),
                    (
                        &[3, 8],
                        Fixed(&[0, 1, 2, -1, -1, -1, -1, -1, 0, 1, 2, 3, 4, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, 3]),
                    ),
                ],
                &[
                    (&[1, 7, 30, 12], Normal),
                    (&[1, 7, 30, 48], Unit),
                    (&[1, 2], Fixed(&[7, 30])),
                    (&[1, 12], Fixed(&[0, 1, 2, 3, 4, 5, 6, 7, 8, -1, -1, -1])),
                ],
            ],
            |x| x[0].par_step(&x[1], &x[2], &x[3], &Par::default().dilations),
        ),
        row(
            "par_step of one, seven and eight rings",
            &[
                &[
                    (&[2, 3, 4, 8], Normal),
                    (&[2, 3, 4, 8], Unit),
                    (&[2, 2], Fixed(&[3, 4, 0, 3])),
                    (&[2, 8], Fixed(&[-1, -1, -1, -1, 0, 3, -1, -1, 0, 1, 2, 3, 4, -1, -1, -1])),
                ],
                &[
                    (&[2, 5, 9, 8], Normal),
                    (&[2, 5, 9, 56], Unit),
                    (&[2, 2], Fixed(&[5, 9, 4, 8])),
                    (&[2, 8], Fixed(&[0, 1, 2, -1, -1, -1, -1, -1, 0, 1, 2, 3, 4, -1, -1, -1])),
                ],
                &[
                    (&[1, 1, 37, 8], Normal),
                    (&[1, 1, 37, 64], Unit),
                    (&[1, 2], Fixed(&[1, 37])),
                    (&[1, 8], Fixed(&[0, 1, 2, 3, 4, -1, -1, -1])),
                ],
                &[
                    (&[1, 37, 1, 8], Normal),
                    (&[1, 37, 1, 64], Unit),
                    (&[1, 2], Fixed(&[31, 1])),
                    (&[1, 8], Fixed(&[0, -1, -1, -1, 4, -1, -1, -1])),
                ],
            ],
            |x| {
                let channels = x[1].shape().last().copied().unwrap_or(0);
                x[0].par_step(&x[1], &x[2], &x[3], &[1, 7, 2, 3, 300, 4, 5, 1][..(channels / 8).min(8)])
            },
        ),
    ]
}

fn box_resize() -> Vec<Case> {
    const SIZES: Sizes = &[
        &[(&[1, 3, 4, 2], Normal), (&[1, 4], Fixed(&[1, 0, 2, 3])), (&[1, 4], Fixed(&[0, 1, 4, 5]))],
        &[
            (&[3, 13, 16, 3], Normal),
            (&[3, 4], Fixed(&[0, 0, 13, 16, 2, 5, 9, 7, 12, 15, 1, 1])),
            (&[3, 4], Fixed(&[0, 0, 6, 8, 3, 1, 31, 25, 4, 4, 9, 1])),
        ],
        &[
            (&[2, 48, 31, 4], Normal),
            (&[2, 4], Fixed(&[0, 3, 48, 20, 7, 0, 5, 31])),
            (&[2, 4], Fixed(&[0, 0, 36, 29, 5, 2, 13, 15])),
        ],
        // The last rectangle exceeds the result's border.
        &[
            (&[2, 9, 7, 8], Normal),
            (&[2, 4], Fixed(&[0, 0, 9, 7, 0, 0, 4, 3])),
            (&[2, 4], Fixed(&[0, 0, 9, 7, 30, 20, 12, 19])),
        ],
    ];
    // One element becomes the whole result: the gradient adds up more cells than a loop of llvmpipe has turns.
    const FAR: Sizes = &[&[
        (&[2, 2, 2, 1], Normal),
        (&[2, 4], Fixed(&[0, 0, 1, 1, 1, 1, 1, 1])),
        (&[2, 4], Fixed(&[0, 0, 260, 270, 3, 0, 250, 270])),
    ]];
    vec![
        row("box_resize far", FAR, |x| x[0].box_resize(&x[1], &x[2], [260, 270], false)),
        row("box_resize", SIZES, |x| x[0].box_resize(&x[1], &x[2], [36, 30], false)),
        row("box_resize align_corners", SIZES, |x| x[0].box_resize(&x[1], &x[2], [36, 30], true)),
    ]
}
