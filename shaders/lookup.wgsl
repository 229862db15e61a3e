// Replaces every index by an entry of its image's table.
//
//   out[b, s] = table[b, index[b, s]], the index clamped to the table
//
// One invocation computes one entry, or four neighbours (INDEX = vec4<i32>). Copies only: deterministic.
#include "common/index.wgsl"

struct Params { batch: u32, entries: u32, plane: u32, first_row: u32 }

alias Index = $INDEX;

@group(0) @binding(0) var<uniform> p: Params;
#read table: array<i32>
#read index: array<Index>
#write out: array<Index>

fn entry(at: i32) -> i32 {
    return load_table(u32(at));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.batch * p.plane { return; }
    let start = Index(i32(i / p.plane * p.entries));
    let at = start + clamp(load_index(i), Index(0), Index(i32(p.entries) - 1));
#if VECTOR
    store_out(i, vec4<i32>(entry(at.x), entry(at.y), entry(at.z), entry(at.w)));
#else
    store_out(i, entry(at));
#endif
}
