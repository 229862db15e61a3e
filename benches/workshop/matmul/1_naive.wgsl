// 1. one result per invocation
//
// The formula, out[i, j] = Σ_k a[i, k] · b[k, j], taken literally: two loads for every multiplication. Loaded
// values are only reused through caches.
#include "common/index.wgsl"

struct Params { n: u32, columns: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = divide(invocation_index(id, groups), p.n);
    if place.x >= p.n { return; }
    var sum = 0.0;
    for (var k = 0u; k < p.n; k++) {
        sum += a[place.x * p.n + k] * b[k * p.n + place.y];
    }
    out[place.x * p.n + place.y] = sum;
}
