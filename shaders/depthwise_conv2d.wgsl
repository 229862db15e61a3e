// Depth-wise 3×3 convolution of x [B, H, W, C] with taps [9, C], stride 1, zero padding 1.
//
//   y[b, i, j, c] = bias[c] + Σ_ky Σ_kx taps[3·ky + kx, c] · x[b, i + ky - 1, j + kx - 1, c]
//
// MIRRORED: the gradient with respect to x: taps[8 - (3·ky + kx), c] and no bias.
// One invocation computes a run of neighbours along j for one channel (or four, if C allows): the taps are loaded
// once and every step loads only the next column of three pixels. Every output is one sum in fixed order.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { total: u32, height: u32, width: u32, channels: u32, run: u32, runs: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read taps: array<V>
#if MIRRORED
#else
#read bias: array<V>
#endif
#write y: array<V>

#include "common/columns.wgsl"

fn tap(t: u32, c: u32) -> V {
#if MIRRORED
    return load_taps((8u - t) * p.channels + c);
#else
    return load_taps(t * p.channels + c);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.total { return; }
    let c = index % p.channels;
    let rest = index / p.channels;
    let first = (rest % p.runs) * p.run;
    let row = rest / p.runs;
    let end = min(first + p.run, p.width);

    let t0 = tap(0u, c); let t1 = tap(1u, c); let t2 = tap(2u, c);
    let t3 = tap(3u, c); let t4 = tap(4u, c); let t5 = tap(5u, c);
    let t6 = tap(6u, c); let t7 = tap(7u, c); let t8 = tap(8u, c);
#if MIRRORED
    let start = V(0.0);
#else
    let start = load_bias(c);
#endif
    var left = column(row, first - 1u, c);
    var middle = column(row, first, c);
    for (var j = first; j < end; j++) {
        let right = column(row, j + 1u, c);
        var sum = start;
        sum += t0 * left.above + t1 * middle.above + t2 * right.above;
        sum += t3 * left.level + t4 * middle.level + t5 * right.level;
        sum += t6 * left.below + t7 * middle.below + t8 * right.below;
        store_y((row * p.width + j) * p.channels + c, sum);
        left = middle;
        middle = right;
    }
}
