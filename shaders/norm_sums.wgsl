// The column sums in the gradients of normalisations, for x and grad [rows, C].
//
//   sums[chunk, 0, c] = Σ_r grad[r, c] · (x[r, c] - mean) · rstd
//   sums[chunk, 1, c] = Σ_r grad[r, c]                            r in the chunk
//
// PER_ROW: statistics [rows, 2] hold (mean, rstd) of every row (layer norm). Otherwise they hold the mean of every
// column, [C], and rstd is 1 (batch norm).
// One invocation sums one column (or four neighbours) of one chunk of rows, in order; `reduce` then adds the chunks
// in order. Nothing depends on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, chunk: u32, chunks: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#if PER_ROW
#read statistics: array<vec2<f32>>
#else
#read mean: array<V>
#endif
#read grad: array<V>
#write sums: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.width * p.chunks { return; }
    let c = index % p.width;
    let chunk = index / p.width;
    let end = min((chunk + 1u) * p.chunk, p.rows);
    var products = V(0.0);
    var plain = V(0.0);
#if PER_ROW
    for (var r = chunk * p.chunk; r < end; r++) {
        let own = load_statistics(r);
        let g = load_grad(r * p.width + c);
        products += g * ((load_x(r * p.width + c) - own.x) * own.y);
        plain += g;
    }
#else
    let center = load_mean(c);
    for (var r = chunk * p.chunk; r < end; r++) {
        let g = load_grad(r * p.width + c);
        products += g * (load_x(r * p.width + c) - center);
        plain += g;
    }
#endif
    store_sums(chunk * 2u * p.width + c, products);
    store_sums((chunk * 2u + 1u) * p.width + c, plain);
}
