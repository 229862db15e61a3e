// Gradient of the depth-wise 3×3 convolution with respect to its taps and its bias, for x and grad [B, H, W, C].
//
//   sums[chunk, 3·ky + kx, c] = Σ_b Σ_i Σ_j grad[b, i, j, c] · x[b, i + ky - 1, j + kx - 1, c]
//   sums[chunk, 9, c]         = Σ_b Σ_i Σ_j grad[b, i, j, c]                  rows (b, i) in the chunk
//
// One invocation sums one channel (or four, if C allows) of one chunk of rows, in order, sliding along j; `reduce`
// then adds the chunks in order. Nothing depends on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, height: u32, width: u32, channels: u32, chunk: u32, chunks: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read grad: array<V>
#write sums: array<V>

#include "common/columns.wgsl"

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.channels * p.chunks { return; }
    let c = index % p.channels;
    let chunk = index / p.channels;
    let end = min((chunk + 1u) * p.chunk, p.rows);

    var s0 = V(0.0); var s1 = V(0.0); var s2 = V(0.0);
    var s3 = V(0.0); var s4 = V(0.0); var s5 = V(0.0);
    var s6 = V(0.0); var s7 = V(0.0); var s8 = V(0.0);
    var plain = V(0.0);
    for (var row = chunk * p.chunk; row < end; row++) {
        var left = column(row, 0xffffffffu, c);
        var middle = column(row, 0u, c);
        for (var j = 0u; j < p.width; j++) {
            let right = column(row, j + 1u, c);
            let g = load_grad((row * p.width + j) * p.channels + c);
            s0 += g * left.above; s1 += g * middle.above; s2 += g * right.above;
            s3 += g * left.level; s4 += g * middle.level; s5 += g * right.level;
            s6 += g * left.below; s7 += g * middle.below; s8 += g * right.below;
            plain += g;
            left = middle;
            middle = right;
        }
    }
    let to = chunk * 10u * p.channels + c;
    store_sums(to, s0);
    store_sums(to + p.channels, s1);
    store_sums(to + 2u * p.channels, s2);
    store_sums(to + 3u * p.channels, s3);
    store_sums(to + 4u * p.channels, s4);
    store_sums(to + 5u * p.channels, s5);
    store_sums(to + 6u * p.channels, s6);
    store_sums(to + 7u * p.channels, s7);
    store_sums(to + 8u * p.channels, s8);
    store_sums(to + 9u * p.channels, plain);
}
