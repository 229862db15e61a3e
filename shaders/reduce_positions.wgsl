// The position of the first maximum along the middle axis of x [outer, length, inner], given those of its chunks.
//
//   y[o, i] = the first of chosen[o, ·, i] at which x is largest
//
// One invocation makes one result. It walks the chunks in order, and a later one must be larger to win: deterministic.
#include "common/index.wgsl"

struct Params { outer: u32, length: u32, inner: u32, chunks: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<f32>
#read chosen: array<i32>
#write y: array<i32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.outer * p.inner { return; }
    let place = divide(index, p.inner);
    var position = load_chosen(place.x * p.chunks * p.inner + place.y);
    var best = load_x((place.x * p.length + u32(position)) * p.inner + place.y);
    for (var c = 1u; c < p.chunks; c++) {
        let other = load_chosen((place.x * p.chunks + c) * p.inner + place.y);
        let candidate = load_x((place.x * p.length + u32(other)) * p.inner + place.y);
        if candidate > best { best = candidate; position = other; }
    }
    store_y(index, position);
}
