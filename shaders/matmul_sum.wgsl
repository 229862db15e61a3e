// Second half of a split matrix product: adds the partial products in the order of their chunks.
//
//   out[b, i, j] = bias[j] + sum over s of partial[s, b, i, j]
//
// With OUT_PATCHES, out is an image and the sums are its patches.
// One invocation computes one element; the fixed order makes the sum repeatable.
#include "common/index.wgsl"

#if OUT_PATCHES
#include "common/patches.wgsl"
#endif

struct View {
    batch0: u32, batch1: u32, row: u32, column: u32,
}

struct Params {
    m: u32, n: u32, batch1: u32, batches: u32,
    out: $OUT_LAYOUT,
    splits: u32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read partial: array<f32>
#if BIAS
#read bias: array<f32>
#endif
#write out: array<f32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let total = p.batches * p.m * p.n;
    if index >= total { return; }
    let j = index % p.n;
    let i = (index / p.n) % p.m;
    let batch = index / (p.n * p.m);
#if BIAS
    var sum = load_bias(j);
#else
    var sum = 0.0;
#endif
    for (var s = 0u; s < p.splits; s++) { sum += load_partial(s * total + index); }
#if OUT_PATCHES
    let tap = divide(j, p.out.run);
    let e = elements(p.out, patches_from(p.out, i, p.m), tap.x, tap.y);
    if e.inside.x { store_out(e.at.x, sum); }
#else
    let start = (batch / p.batch1) * p.out.batch0 + (batch % p.batch1) * p.out.batch1;
    store_out(start + i * p.out.row + j * p.out.column, sum);
#endif
}
