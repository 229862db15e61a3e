// Scatters slots [batch, plane, slots] to the maps of their classes: out [batch, channels, plane].
//
//   out[b, c, s] = Σ over the slots k with classes[b, k] − first = c of x[b, s, k]
//
// One invocation computes one element; the sum runs over k in order: deterministic.
#include "common/index.wgsl"

struct Params { batch: u32, channels: u32, plane: u32, slots: u32, first: i32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<f32>
#read classes: array<i32>
#write out: array<f32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.channels * p.plane { return; }
    let map = divide(index, p.plane);
    let image = divide(map.x, p.channels);
    let class_id = i32(image.y) + p.first;
    let start = (image.x * p.plane + map.y) * p.slots;
    var sum = 0.0;
    for (var k = 0u; k < p.slots; k++) {
        if load_classes(image.x * p.slots + k) == class_id { sum += load_x(start + k); }
    }
    store_out(index, sum);
}
