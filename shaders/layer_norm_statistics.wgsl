// Mean and reciprocal standard deviation of every row of x [rows, C].
//
//   statistics[r] = (mean, 1 / sqrt(variance + eps)), variance = 1/C Σ_c (x[r, c] - mean)²
//
// One invocation per row reads it once (Welford): `count` values have mean `first + offset` and squared distance
// `spread` from it. Taking distances to the row's first value keeps them small where the row is far from zero.
// Four lanes run side by side (VECTOR) and are merged at the end. The order of every sum is fixed.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, eps: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
#if VECTOR
    let first = x[start].x;
#else
    let first = x[start];
#endif
    var offset = V(0.0);
    var spread = V(0.0);
    var count = 0.0;
    for (var i = 0u; i < p.width; i++) {
        let value = x[start + i] - first;
        count += 1.0;
        let apart = value - offset;
        offset += apart / count;
        spread += apart * (value - offset);
    }
#if VECTOR
    let center = dot(offset, vec4<f32>(0.25));
    let apart = offset - center;
    let variance = (dot(spread, vec4<f32>(1.0)) + count * dot(apart, apart)) / (4.0 * count);
#else
    let center = offset;
    let variance = spread / count;
#endif
    statistics[row] = vec2<f32>(first + center, 1.0 / sqrt(variance + p.eps));
}
