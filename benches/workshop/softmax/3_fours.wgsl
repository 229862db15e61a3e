// 3. the same, four elements per load
//
// A quarter of the loads and stores, and of the iterations of every loop.
#include "common/index.wgsl"

struct Params { rows: u32, width: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let fours = p.width / 4u;
    let start = row * fours;
    var largest = vec4<f32>(-3e38);
    for (var i = 0u; i < fours; i++) { largest = max(largest, x[start + i]); }
    let m = max(max(largest.x, largest.y), max(largest.z, largest.w));
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < fours; i++) { sum += exp(x[start + i] - m); }
    let share = 1.0 / dot(sum, vec4<f32>(1.0));
    for (var i = 0u; i < fours; i++) { y[start + i] = exp(x[start + i] - m) * share; }
}
