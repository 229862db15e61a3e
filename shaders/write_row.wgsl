// Overwrites one row of a state [rows, width]: state[row, i] = values[i].
//
// One invocation per element of the row. A row outside the state changes nothing.
#include "common/index.wgsl"

struct Params { rows: u32, width: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#write state: array<f32>
#read values: array<f32>
#read row: array<i32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    // A negative row is a large unsigned one.
    let to = u32(load_row(0));
    if i >= p.width || to >= p.rows { return; }
    store_state(to * p.width + i, load_values(i));
}
