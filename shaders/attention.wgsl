// Attention without a stored matrix of scores, for every image and head:
//
//   s[n, m] = scale · q[n] · k[m]
//   OUTPUT:      out[n] = Σ_m exp(s[n, m] − L[n]) · v[m]     with L[n] = log Σ_m exp(s[n, m])
//   STATISTICS:  out[n] = L[n]
//
// An invocation iterates over the columns m for its rows n and keeps the largest score so far, the sum of exponentials
// and the weighted values relative to it. All sums run over m in order: deterministic.
#include "common/index.wgsl"

@group(0) @binding(0) var<uniform> p: Params;
#read q: array<vec4<f32>>
#read k: array<vec4<f32>>
#if OUTPUT
#read v: array<vec4<f32>>
#write out: array<vec4<f32>>
#else
#write out: array<f32>
#endif

#include "common/attention.wgsl"

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first_row = invocation_index(id, groups) * ROWS;
    if first_row >= p.rows { return; }
    let layer = id.z + p.first_layer;
    let batch = layer / p.heads;
    let head = layer % p.heads;
    var rows = row_starts(batch, head, first_row);
    var largest: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { largest[r] = -3e38; }
    var total: array<f32, ROWS>;
    var keep: array<f32, ROWS>;
#if OUTPUT
    var sums: array<vec4<f32>, ROWS * CHUNKS>;
#endif
    for (var first = 0u; first < p.columns; first += 8u) {
        var at = column_starts(batch, head, first);
        var s: Tile;
        for (var c = 0u; c < CHUNKS; c++) {
            let near = mat4x4<f32>(load_k(at[0] + c), load_k(at[1] + c), load_k(at[2] + c), load_k(at[3] + c));
            let far = mat4x4<f32>(load_k(at[4] + c), load_k(at[5] + c), load_k(at[6] + c), load_k(at[7] + c));
            for (var r = 0u; r < ROWS; r++) {
                let x = load_q(rows[r] + c);
                s.near[r] += x * near;
                s.far[r] += x * far;
            }
        }
        var inside = before(p.columns, first);
        for (var r = 0u; r < ROWS; r++) {
            let near = select(vec4<f32>(-3e38), p.scale * s.near[r], inside[0]);
            let far = select(vec4<f32>(-3e38), p.scale * s.far[r], inside[1]);
            let four = max(near, far);
            let next = max(max(max(four.x, four.y), max(four.z, four.w)), largest[r]);
            keep[r] = exp(largest[r] - next);
            largest[r] = next;
            s.near[r] = exp(near - next);
            s.far[r] = exp(far - next);
            total[r] = total[r] * keep[r] + dot(s.near[r] + s.far[r], vec4<f32>(1.0));
        }
#if OUTPUT
        for (var c = 0u; c < CHUNKS; c++) {
            let near = mat4x4<f32>(load_v(at[0] + c), load_v(at[1] + c), load_v(at[2] + c), load_v(at[3] + c));
            let far = mat4x4<f32>(load_v(at[4] + c), load_v(at[5] + c), load_v(at[6] + c), load_v(at[7] + c));
            for (var r = 0u; r < ROWS; r++) {
                sums[r * CHUNKS + c] = sums[r * CHUNKS + c] * keep[r] + near * s.near[r] + far * s.far[r];
            }
        }
#endif
    }
    for (var r = 0u; r < ROWS; r++) {
        if first_row + r >= p.rows { break; }
#if OUTPUT
        for (var c = 0u; c < CHUNKS; c++) { store_out(rows[r] + c, sums[r * CHUNKS + c] / total[r]); }
#else
        store_out((batch * p.rows + first_row + r) * p.heads + head, largest[r] + log(total[r]));
#endif
    }
}
