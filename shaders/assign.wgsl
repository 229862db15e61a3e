// Overwrites a state with a value of the same shape: state[i] = value[i].
//
// One invocation copies four elements (buffers are padded to whole vec4s).
#include "common/index.wgsl"

struct Params { n: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#write state: array<vec4<f32>>
#read value: array<vec4<f32>>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.n { return; }
    store_state(i, load_value(i));
}
