// Gradient of the depth-wise convolution with respect to its taps and its bias, for x [B, H, W, C] and grad
// [B, OH, OW, C]; K = 3 or 5 (FIVE).
//
//   sums[chunk, K·ky + kx, c] = Σ_b Σ_i Σ_j grad[b, i, j, c]
//                               · x[b, i·stride + ky·dilation - above, j·stride + kx·dilation - left, c]
//   sums[chunk, K·K, c]       = Σ_b Σ_i Σ_j grad[b, i, j, c]                                rows (b, i) in the chunk
//
// One invocation sums one channel (or four, if C allows) of one chunk of rows, in order, sliding along j, `step` by
// `step`, since only such neighbours read the same columns; `reduce` then adds the chunks in order. Nothing depends on
// scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    rows: u32, height: u32, width: u32, channels: u32,
    out_height: u32, out_width: u32, stride: u32, dilation: u32,
    above: u32, left: u32, step: u32, chunk: u32,
    chunks: u32, first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read grad: array<V>
#write sums: array<V>

#include "common/columns.wgsl"

#if FIVE
const SIDE = 5u;
#else
const SIDE = 3u;
#endif

fn add(sum: Column, g: V, x: Column) -> Column {
    var own = sum;
    own.r0 += g * x.r0;
    own.r1 += g * x.r1;
    own.r2 += g * x.r2;
#if FIVE
    own.r3 += g * x.r3;
    own.r4 += g * x.r4;
#endif
    return own;
}

fn store(to: u32, sum: Column) {
    let down = SIDE * p.channels;
    store_sums(to, sum.r0);
    store_sums(to + down, sum.r1);
    store_sums(to + 2u * down, sum.r2);
#if FIVE
    store_sums(to + 3u * down, sum.r3);
    store_sums(to + 4u * down, sum.r4);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.channels * p.chunks { return; }
    let c = index % p.channels;
    let chunk = index / p.channels;
    let end = min((chunk + 1u) * p.chunk, p.rows);

    var totals: Columns;
    var plain = V(0.0);
    for (var row = chunk * p.chunk; row < end; row++) {
        let image = divide(row, p.out_height);
        let origin = place(image.x, image.y * p.stride - p.above, c);
        for (var first = 0u; first < min(p.step, p.out_width); first++) {
            var j = first * p.stride - p.left;
            var window = before(origin, j);
            for (var at = first; at < p.out_width; at += p.step) {
                window = next(window, origin, j);
                let g = load_grad((row * p.out_width + at) * p.channels + c);
                totals.c0 = add(totals.c0, g, window.c0);
                totals.c1 = add(totals.c1, g, window.c1);
                totals.c2 = add(totals.c2, g, window.c2);
#if FIVE
                totals.c3 = add(totals.c3, g, window.c3);
                totals.c4 = add(totals.c4, g, window.c4);
#endif
                plain += g;
                j += p.step * p.stride;
            }
        }
    }
    let to = chunk * (SIDE * SIDE + 1u) * p.channels + c;
    store(to, totals.c0);
    store(to + p.channels, totals.c1);
    store(to + 2u * p.channels, totals.c2);
#if FIVE
    store(to + 3u * p.channels, totals.c3);
    store(to + 4u * p.channels, totals.c4);
#endif
    store_sums(to + SIDE * SIDE * p.channels, plain);
}
