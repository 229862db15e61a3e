// 1. a workgroup per row, with tree reductions
//
// y[r, c] = exp(x[r, c] - m) / Σ_c exp(x[r, c] - m), m = max_c x[r, c], as suits graphics cards: neighbours read
// neighbouring elements, and half of them add the results of the other half in workgroup memory until one number is
// left. A software device suspends and resumes 64 invocations at each of the 15 barriers.
#include "common/index.wgsl"

struct Params { rows: u32, width: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> found: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let row = workgroup_index(group, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
    var m = -3e38;
    for (var i = lane; i < p.width; i += WORKGROUP) { m = max(m, x[start + i]); }
    found[lane] = m;
    workgroupBarrier();
    for (var apart = WORKGROUP / 2u; apart > 0u; apart /= 2u) {
        if lane < apart { found[lane] = max(found[lane], found[lane + apart]); }
        workgroupBarrier();
    }
    m = found[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var i = lane; i < p.width; i += WORKGROUP) { sum += exp(x[start + i] - m); }
    found[lane] = sum;
    workgroupBarrier();
    for (var apart = WORKGROUP / 2u; apart > 0u; apart /= 2u) {
        if lane < apart { found[lane] += found[lane + apart]; }
        workgroupBarrier();
    }
    let share = 1.0 / found[0];
    for (var i = lane; i < p.width; i += WORKGROUP) { y[start + i] = exp(x[start + i] - m) * share; }
}
