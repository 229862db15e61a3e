// 2. an invocation per row, in three passes
//
// No barrier and nothing shared. On a graphics card, neighbours now read from different rows, which wastes most of
// every access.
#include "common/index.wgsl"

struct Params { rows: u32, width: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
    var m = -3e38;
    for (var i = 0u; i < p.width; i++) { m = max(m, x[start + i]); }
    var sum = 0.0;
    for (var i = 0u; i < p.width; i++) { sum += exp(x[start + i] - m); }
    let share = 1.0 / sum;
    for (var i = 0u; i < p.width; i++) { y[start + i] = exp(x[start + i] - m) * share; }
}
