// Mean and reciprocal standard deviation of every row of x [rows, C].
//
//   statistics[r] = (mean, 1 / sqrt(variance + eps)), variance = 1/C Σ_c (x[r, c] - mean)²
//
// A lane reads its part of the row once (Welford): `count` values have mean `first + offset` and squared distance
// `spread` from it. Differences from the row's first value stay small if the row is far from zero.
// The four components of a load (VECTOR) and then the lanes are merged at the end. The order of every sum is fixed.
#include "common/rows.wgsl"

struct Params { rows: u32, width: u32, eps: f32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#write statistics: array<vec2<f32>>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let own = walk(invocation_index(id, groups), lane);
    let start = own.start;
#if VECTOR
    let first = load_x(start).x;
#else
    let first = load_x(start);
#endif
    var offset = V(0.0);
    var spread = V(0.0);
    var count = 0.0;
    for (var i = own.first; i < own.end; i += LANES) {
        let value = load_x(start + i) - first;
        count += 1.0;
        let apart = value - offset;
        offset += apart / count;
        spread += apart * (value - offset);
    }
#if VECTOR
    let center = dot(offset, vec4<f32>(0.25));
    let apart = offset - center;
    share(vec3<f32>(4.0 * count, center, dot(spread, vec4<f32>(1.0)) + count * dot(apart, apart)), lane);
#else
    share(vec3<f32>(count, offset, spread), lane);
#endif
    var all = shared_by(0u, lane);
    for (var i = 1u; i < LANES; i++) {
        // Merged as in batch_statistics_merge.wgsl; a lane may have no elements.
        let other = shared_by(i, lane);
        let apart = other.y - all.y;
        let weight = other.x / (all.x + other.x);
        all += vec3<f32>(other.x, apart * weight, other.z + apart * apart * (all.x * weight));
    }
    if own.first == 0u && own.end > 0u {
        store_statistics(own.row, vec2<f32>(first + all.y, 1.0 / sqrt(all.z / all.x + p.eps)));
    }
}
